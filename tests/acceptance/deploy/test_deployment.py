"""The deployment from nothing to nothing: setup.sh, jobs, an upgrade under load, teardown.sh."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import bundle
from tests.acceptance.deploy.deployment import AWS_CLI, ROOT, URL, Deployment, simulated
from tests.ec2.network import own_network, why_unavailable
from workmanager.client import Client
from workmanager.errors import ClientError

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]  # moto says what it leaves out
OPTIONS = ("--worker-types", "c7i.large", "--max-workers", "2")
PAUSE_SECONDS = 0.2


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What requirements.txt names, for the hosts' platform."""
    directory = tmp_path_factory.mktemp("wheels")
    pinned = directory / "requirements.txt"
    pinned.write_text(bundle.pinned())
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory)]
    subprocess.run([*command, *bundle.platform("x86_64"), "--requirement", str(pinned)], check=True)
    subprocess.run(["bash", "-c", f". {ROOT}/scripts/_setup.sh && set_up deploy"], check=True)
    AWS_CLI.ensure()
    return directory


@pytest.fixture
def deployment(tmp_path: Path, wheels: Path) -> Iterator[Deployment]:
    """An empty AWS."""
    if reason := why_unavailable():
        pytest.skip(reason)
    if shutil.which("redis-check-rdb") is None:
        pytest.skip("redis-check-rdb is missing: Debian's redis-tools, which has the Redis server of the hosts")
    with own_network(), simulated(tmp_path, wheels) as deployment:
        yield deployment


def test_a_cluster_comes_works_is_upgraded_under_load_and_goes(deployment: Deployment) -> None:
    said = deployment.run("setup.sh", *OPTIONS, seconds=400)
    assert "the value is right" in said
    assert "nothing would change" in deployment.run("setup.sh", "--plan", *OPTIONS, seconds=200)

    key = deployment.cloud.client("secretsmanager").get_secret_value(SecretId="workmanager/api-keys")["SecretString"]
    load = Load(key)
    load.start()
    said = deployment.run("setup.sh", *OPTIONS, "--set", "ACCESS_LOG=false", seconds=600)
    load.stop()
    assert "the value is right" in said
    assert deployment.rollouts.replaced == ["ManagerA", "ManagerB", "Witness"]
    assert load.missing_after_pulling() == set()

    deployment.run("teardown.sh", "--yes", "--purge", seconds=300)
    assert set(deployment.cloud.states().values()) == {"terminated"}
    assert deployment.cloud.client("cloudformation").describe_stacks()["Stacks"] == []
    assert deployment.cloud.client("s3").list_buckets()["Buckets"] == []
    assert deployment.cloud.client("secretsmanager").list_secrets()["SecretList"] == []
    assert deployment.cloud.client("acm").list_certificates()["CertificateSummaryList"] == []


class Load:
    """A client that puts one job in after the other, and remembers the acknowledged ones."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._wanted: dict[str, str] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def missing_after_pulling(self) -> set[str]:
        """Acknowledged jobs whose right value does not come out."""
        assert len(self._wanted) > 10
        missing, deadline = dict(self._wanted), time.monotonic() + 120
        with Client(URL, self._key, retry_seconds=60) as client:
            while missing and time.monotonic() < deadline:
                pulled = client.pull(top=1000, lease_seconds=20, wait_seconds=5)
                client.ack([one.id for one in pulled])
                for one in pulled:
                    assert one.value == missing.pop(one.id, one.value)
        return set(missing)

    def _run(self) -> None:
        with Client(URL, self._key, retry_seconds=60) as client:
            for number in range(10**9):
                if self._ending.wait(PAUSE_SECONDS):
                    return
                data = str(number).encode()
                try:
                    self._wanted[client.enqueue(data, iterations=1)] = hashlib.sha512(data).hexdigest()
                except ClientError:
                    continue  # not acknowledged
