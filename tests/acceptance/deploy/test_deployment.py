"""The deployment: setup.sh against a simulated AWS whose hosts really boot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import bundle
from tests.acceptance.deploy.deployment import AWS_CLI, ROOT, Deployment, simulated
from tests.ec2.network import own_network, why_unavailable

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]  # moto says what it leaves out
OPTIONS = ("--worker-types", "c7i.large", "--max-workers", "2")


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


def test_one_command_brings_up_a_cluster_that_does_its_work(deployment: Deployment) -> None:
    said = deployment.run("setup.sh", *OPTIONS, seconds=600)
    assert "the value is right" in said
    # Two managers and a witness by the stack, and a worker by the scaler, all by their user data.
    boots = [machine.console for machine in deployment.cloud.machines.all().values()]
    assert sum("event=manager_boot step=ready" in console for console in boots) == 2
    assert sum("event=witness_boot step=ready" in console for console in boots) == 1
    assert sum("event=worker_boot step=worker_started" in console for console in boots) >= 1
    key = deployment.cloud.client("secretsmanager").get_secret_value(SecretId="workmanager/api-keys")["SecretString"]
    assert key not in said
    assert [console for console in boots if key in console] == []
