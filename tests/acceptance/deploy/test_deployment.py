"""The whole life of a deployment: setup.sh and teardown.sh against a simulated AWS whose hosts really boot."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import bundle
from tests.acceptance.deploy.deployment import ROOT, Deployment, simulated_deployment
from tests.acceptance.deploy.inventory import list_resources
from tests.ec2.network import isolated_network, unavailable_reason
from tests.ec2.simulated_cloud import REGION
from tests.infra.moto_govcloud import GOVCLOUD
from tests.infra.tools import AWS_CLI
from tests.waiting import until

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(1500)]  # moto warns about what it leaves out
REFUSALS = ("AccessDenied", "UnauthorizedOperation")
OPTIONS = ("--worker-types", "c7i.large", "--max-workers", "3")
ANSWERS = """
import time

def answer(number, seconds):
    time.sleep(seconds)
    return [number, {version!r}]
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of requirements.txt for the hosts' platform."""
    directory = tmp_path_factory.mktemp("wheels")
    pinned = directory / "requirements.txt"
    pinned.write_text(bundle.pinned_requirements())
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory)]
    subprocess.run([*command, *bundle.pip_platform_options("x86_64"), "--requirement", str(pinned)], check=True)
    subprocess.run(["bash", "-c", f". {ROOT}/scripts/_venv.sh && set_up deploy"], check=True)
    AWS_CLI.ensure()
    return directory


@pytest.fixture
def deployment(request: pytest.FixtureRequest, tmp_path: Path, wheels: Path) -> Iterator[Deployment]:
    """An empty AWS; the parameter is its region."""
    if reason := unavailable_reason():
        pytest.skip(reason)
    if shutil.which("redis-check-rdb") is None:
        pytest.skip("redis-check-rdb is missing: Debian's redis-tools, which has the Redis server of the hosts")
    region = getattr(request, "param", REGION)
    with isolated_network(), simulated_deployment(tmp_path, wheels, region) as deployment:
        yield deployment


def _app(directory: Path, version: str) -> str:
    """Create a directory of functions for --app."""
    app = directory / f"app-{version}"
    app.mkdir()
    (app / "answers.py").write_text(ANSWERS.format(version=version))
    return str(app)


def test_the_whole_life_of_a_cluster(deployment: Deployment, tmp_path: Path) -> None:
    """All steps in one test, because a cluster takes a minute to start."""
    first, second = _app(tmp_path, "one"), _app(tmp_path, "two")
    untouched = list_resources(deployment.cloud)
    _is_created_and_runs_jobs(deployment, first)
    _is_unchanged_by_a_second_run(deployment, first)
    with deployment.running("tests.acceptance.deploy.load") as load:
        _is_upgraded(deployment, second)
        _survives_a_failed_upgrade(deployment, second)
        _has_lost_no_job(load)
    _hands_over_before_it_stops(deployment)
    # The roles allow all that hosts and the scaler have asked for, also while the upgrades changed roles before hosts.
    assert {code: deployment.cloud.events.errors[code] for code in REFUSALS} == dict.fromkeys(REFUSALS, 0)
    _is_deleted_completely(deployment, untouched)


@pytest.mark.parametrize("deployment", [GOVCLOUD], indirect=True)
def test_a_cluster_in_govcloud_is_created_runs_jobs_and_is_deleted(deployment: Deployment, tmp_path: Path) -> None:
    """Its names of resources begin with another partition, and it has no AWS Budgets."""
    untouched = list_resources(deployment.cloud)
    _is_created_and_runs_jobs(deployment, _app(tmp_path, "one"))
    assert {code: deployment.cloud.events.errors[code] for code in REFUSALS} == dict.fromkeys(REFUSALS, 0)
    assert "no AWS Budgets" in deployment.run(
        "setup.sh", "--monthly-budget", "9", "--alarm-email", "me@example.com", status=1
    )
    _is_deleted_completely(deployment, untouched)


def _is_created_and_runs_jobs(deployment: Deployment, app: str) -> None:
    output = deployment.run("setup.sh", *OPTIONS, "--app", app)
    assert "the value is right" in output
    # Two managers and a witness by the stack, and a worker by the scaler, all by their user data.
    boots = [machine.console for machine in deployment.cloud.machines.all().values()]
    assert sum("event=manager_boot step=ready" in console for console in boots) == 2
    assert sum("event=witness_boot step=ready" in console for console in boots) == 1
    assert sum("event=worker_boot step=worker_started" in console for console in boots) >= 1
    key = deployment.api_key
    assert key not in output
    assert [console for console in boots if key in console] == []


def _is_unchanged_by_a_second_run(deployment: Deployment, app: str) -> None:
    output = deployment.run("setup.sh", "--app", app)
    assert "the stack is up to date" in output
    assert "the value is right" in output
    assert deployment.rollouts.replaced == []


def _is_upgraded(deployment: Deployment, app: str) -> None:
    old = _workers(deployment)
    assert old
    output = deployment.run("setup.sh", "--app", app)
    assert "the stack is UPDATE_COMPLETE" in output
    assert [name for name, *_ in deployment.rollouts.replaced] == ["ManagerA", "ManagerB", "Witness"]
    assert deployment.load_balancer.fewest_ready == 1, deployment.load_balancer.fewest_checks
    until(lambda: not (old & _workers(deployment)), 300, wanted="the end of the old version's workers")


def _survives_a_failed_upgrade(deployment: Deployment, app: str) -> None:
    del deployment.rollouts.replaced[:]
    output = deployment.run("setup.sh", "--app", app, "--set", "WAIT_WEIGHT=heavy", status=1)
    assert "ManagerA: Received 1 FAILURE signal" in output
    assert "WORKMANAGER_WAIT_WEIGHT" in output
    # Manager A was replaced, and rolled back. Manager B was not touched.
    assert [name for name, *_ in deployment.rollouts.replaced] == ["ManagerA", "ManagerA"]
    assert deployment.load_balancer.fewest_ready == 1, deployment.load_balancer.fewest_checks


def _has_lost_no_job(load: subprocess.Popen[str]) -> None:
    report = json.loads(load.communicate("stop\n", timeout=400)[0])
    assert load.returncode == 0
    assert report["acknowledged"] > 50
    assert (report["missing"], report["doubled"], report["wrong"], report["repeated"]) == ([], [], [], [])
    assert list(report["versions"]) == ["one", "two"]
    # The last results came after the failed upgrade was rolled back.
    assert report["last_version"] == "two"


def _hands_over_before_it_stops(deployment: Deployment) -> None:
    replaced = deployment.cloud.machines.all()[deployment.rollouts.replaced[0][1]]
    assert re.search("command='CLUSTER FAILOVER' reason='[0-9.:]+ is about to stop'", replaced.console)


def _is_deleted_completely(deployment: Deployment, untouched: dict[str, list[str]]) -> None:
    assert "nothing was deleted" in deployment.run("teardown.sh", status=1, stdin="another\n")
    assert list_resources(deployment.cloud) != untouched
    output = deployment.run("teardown.sh", "--yes", "--purge")
    assert output.endswith("teardown: done\n")
    assert list_resources(deployment.cloud) == untouched
    assert deployment.cloud.machines.running == {}


def _workers(deployment: Deployment) -> set[str]:
    """Return the ids of live workers."""
    filters = [
        {"Name": "tag:workmanager:role", "Values": ["worker"]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    found = deployment.cloud.client("ec2").describe_instances(Filters=filters)["Reservations"]
    return {instance["InstanceId"] for some in found for instance in some["Instances"]}
