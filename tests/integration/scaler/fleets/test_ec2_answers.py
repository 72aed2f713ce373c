"""Answers that are not EC2's, over HTTP with boto3: a proxy's page, or a part of the answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.fleet import Ec2Fleet
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import Intent
from tests.ec2.simulated_cloud import SimulatedCloud

SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "HTML": lambda _: b"<html><body><p>Please log in<br></body></html>",
    "XHTML": lambda _: b"<html><body>Please log in</body></html>",
    "nothing": lambda _: b"",
    "cut short": lambda answer: answer[: len(answer) // 2],
    "a wrong time": lambda answer: answer.replace(b"<launchTime>2", b"<launchTime>two"),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCloud]:
    directory: Path = tmp_path_factory.mktemp("cloud")
    with SimulatedCloud(directory, boots=False, address="127.0.0.1") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def fleet(cloud: SimulatedCloud) -> Ec2Fleet:
    return Ec2Fleet(cloud.client("ec2"), Ec2Plan("c", cloud.create_template("#!/bin/bash"), spot=False))


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_an_unreadable_answer_is_an_error_and_never_no_instances(
    cloud: SimulatedCloud, fleet: Ec2Fleet, spoil: Callable[[bytes], bytes]
) -> None:
    (request,) = fleet.plan(1, (), ())
    intent = Intent(f"token-{len(cloud.events.launches)}", 1.0, 1, request)
    cloud.faults.spoil_answers("RunInstances", 1, spoil)
    with pytest.raises(FleetError) as launched:
        await fleet.launch(intent, repeated=False)
    assert (launched.value.cause, launched.value.code) == (Cause.UNKNOWN, "UnreadableAnswer")
    (instance,) = await fleet.launch(intent, repeated=True)
    cloud.faults.spoil_answers("DescribeInstances", 1, spoil)
    with pytest.raises(FleetError) as described:
        await fleet.describe()
    assert described.value.cause is Cause.UNKNOWN
    assert instance.id in {each.id for each in await fleet.describe()}


async def test_a_refusal_by_something_that_is_not_ec2_says_nothing(cloud: SimulatedCloud, fleet: Ec2Fleet) -> None:
    cloud.faults.refuse("DescribeInstances", 1, code="", status=403)
    cloud.faults.spoil_answers("DescribeInstances", 1, SPOILS["HTML"])
    with pytest.raises(FleetError) as described:
        await fleet.describe()
    assert described.value.cause is Cause.UNKNOWN
