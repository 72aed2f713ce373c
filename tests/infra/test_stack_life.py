"""A stack's life: planned, created, left unchanged, updated, rolled back when an update fails, deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.emulator import Emulator, Region, ScriptResult, Scripts

pytestmark = pytest.mark.timeout(1200)
NAME = "wm"
GROUPS = ("ManagerA", "ManagerB", "Witness")


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    """An empty AWS."""
    with Emulator(tmp_path) as emulator:
        yield emulator.region("us-east-1")


def test_a_stack_is_planned_created_updated_and_deleted_completely(region: Region, tmp_path: Path) -> None:
    scripts = Scripts(tmp_path, {**region.emulator.environ, "AWS_REGION": region.name})
    empty = region.inventory()

    planned = _done(scripts.run("setup.sh", "--name", NAME, "--plan"))
    assert ["Add", "ManagerA", "AWS::AutoScaling::AutoScalingGroup"] in _lines(planned)
    assert region.inventory() == empty

    creation = _done(scripts.run("setup.sh", "--name", NAME, "--max-workers", "7"))
    assert "the stack is CREATE_COMPLETE" in creation.errors
    assert "url: https://" in creation.output
    assert "API key: secret" in creation.output
    created = region.inventory()
    assert [created[kind] == empty[kind] for kind in empty] == [False] * len(empty)

    assert "setup: nothing would change" in _done(scripts.run("setup.sh", "--name", NAME, "--plan")).errors
    assert "setup: the stack is up to date" in _done(scripts.run("setup.sh", "--name", NAME)).errors
    assert region.inventory() == created

    other = scripts.run("setup.sh", "--name", NAME, "--redis-url", "redis://another.example:6379")
    assert "error: --redis-url: the cluster wm has its own Redis with jobs in it; use another" in other.errors

    scripts.bundle.write_text("second")
    planned = _done(scripts.run("setup.sh", "--name", NAME, "--set", "WAIT_WEIGHT=2", "--plan"))
    changed = {name for action, name, *_ in _lines(planned) if action == "Modify"}
    assert changed >= {*GROUPS, "WorkerTemplate"}
    assert not changed & {"Vpc", "DiskA", "AddressA", "LoadBalancer"}
    assert region.inventory() == created
    assert _versions(region) == {"1"}

    updated = _done(scripts.run("setup.sh", "--name", NAME, "--set", "WAIT_WEIGHT=2"))
    assert "the stack is UPDATE_COMPLETE" in updated.errors
    assert _versions(region) == {"2"}
    assert _parameters(region)["MaxWorkers"] == "7"

    # The zones are a, c and d: b does not have the witness's type. Zone c, of the second manager, lacks x2gd.large.
    assert _parameters(region)["Zones"] == "us-east-1a,us-east-1c,us-east-1d"
    failed = scripts.run("setup.sh", "--name", NAME, "--manager-type", "x2gd.large", "--max-workers", "9")
    assert failed.exit_code == 1
    assert "UPDATE_ROLLBACK_COMPLETE" in failed.errors
    assert "  ManagerB: " in failed.errors
    assert "(x2gd.large) is not supported in your requested Availability Zone" in failed.errors
    assert _parameters(region)["MaxWorkers"] == "7"
    assert region.inventory() == created | {"buckets": region.inventory()["buckets"]}

    refused = scripts.run("teardown.sh", "--name", NAME, typed="no\n")
    assert (refused.exit_code, region.inventory()) == (1, created)
    _done(scripts.run("teardown.sh", "--name", NAME, "--yes", "--purge"))
    assert region.inventory() == empty


def _done(result: ScriptResult) -> ScriptResult:
    assert result.exit_code == 0, result.errors
    return result


def _lines(result: ScriptResult) -> list[list[str]]:
    return [line.split() for line in result.output.splitlines()]


def _parameters(region: Region) -> dict[str, str]:
    (stack,) = region.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}


def _versions(region: Region) -> set[str]:
    groups = region.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return {group["LaunchTemplate"]["Version"] for group in groups}
