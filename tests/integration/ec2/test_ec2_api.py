"""The simulated EC2 API behaves as EC2 where moto alone does not."""

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from tests.ec2.faults import CapacityLimit, CoreQuotas
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until

WORKER = {"workmanager:role": "worker"}


class Launcher:
    """Launches instances from one template."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.cloud = cloud
        self.ec2 = cloud.client("ec2")
        self.template = cloud.create_template("#!/bin/bash")

    def launch(self, count: int = 1, *, least: int = 1, token: str = "", **call: Any) -> list[str]:
        """Launch instances and return their ids."""
        if token:
            call["ClientToken"] = token
        tags = [{"Key": name, "Value": value} for name, value in WORKER.items()]
        launched = self.ec2.run_instances(
            MinCount=least,
            MaxCount=count,
            LaunchTemplate={"LaunchTemplateId": self.template},
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            **call,
        )
        return [instance["InstanceId"] for instance in launched["Instances"]]

    def launch_error(self, *arguments: Any, **call: Any) -> str:
        """Return the code of the error with which EC2 refuses a launch."""
        with pytest.raises(ClientError) as caught:
            self.launch(*arguments, **call)
        return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def launcher(api_only_cloud: SimulatedCloud) -> Launcher:
    return Launcher(api_only_cloud)


def test_a_client_token_launches_once(launcher: Launcher) -> None:
    first = launcher.launch(3, token="a")
    assert launcher.launch(3, token="a") == first
    assert len(launcher.launch(3, token="b")) == 3
    assert len(launcher.cloud.states()) == 6


def test_a_client_token_with_other_arguments_is_refused(launcher: Launcher) -> None:
    launcher.launch(token="a")
    assert launcher.launch_error(2, token="a") == "IdempotentParameterMismatch"


@pytest.mark.parametrize("token", ["a" * 65, "ä"])
def test_a_client_token_that_is_none_is_refused(launcher: Launcher, token: str) -> None:
    assert launcher.launch_error(token=token) == "InvalidClientToken"


def test_a_client_token_of_terminated_instances_is_refused(launcher: Launcher) -> None:
    ids = launcher.launch(2, token="a")
    launcher.ec2.terminate_instances(InstanceIds=ids[:1])
    assert launcher.launch(2, token="a") == ids
    launcher.ec2.terminate_instances(InstanceIds=ids[1:])
    assert launcher.launch_error(2, token="a") == "IdempotentInstanceTerminated"


def test_a_refused_launch_leaves_its_client_token_unused(launcher: Launcher) -> None:
    launcher.cloud.faults.capacity = [CapacityLimit()]
    assert launcher.launch_error(token="a") == "InsufficientInstanceCapacity"
    launcher.cloud.faults.capacity = []
    assert len(launcher.launch(2, token="a")) == 2


def test_a_launch_is_limited_by_the_capacity(launcher: Launcher) -> None:
    launcher.cloud.faults.capacity = [CapacityLimit(remaining=5)]
    assert len(launcher.launch(3)) == 3
    assert launcher.launch_error(4, least=3) == "InsufficientInstanceCapacity"
    assert len(launcher.launch(4)) == 2
    assert launcher.launch_error() == "InsufficientInstanceCapacity"


def test_capacity_can_be_limited_by_type_zone_and_market(launcher: Launcher) -> None:
    zones = launcher.cloud.subnets()
    launcher.cloud.faults.capacity = [
        CapacityLimit(instance_type="c7g.large", zone="us-east-1a", market="spot", code="MaxSpotInstanceCountExceeded")
    ]
    spot = {"MarketType": "spot"}
    a, b = zones["us-east-1a"], zones["us-east-1b"]
    assert launcher.launch_error(SubnetId=a, InstanceMarketOptions=spot) == "MaxSpotInstanceCountExceeded"
    launcher.launch(SubnetId=a)
    launcher.launch(SubnetId=b, InstanceMarketOptions=spot)
    launcher.launch(SubnetId=a, InstanceMarketOptions=spot, InstanceType="m7g.large")
    kinds = [(launch.instance_type, launch.zone, launch.market) for launch in launcher.cloud.events.launches]
    assert kinds == [
        ("c7g.large", "us-east-1a", "on-demand"),
        ("c7g.large", "us-east-1b", "spot"),
        ("m7g.large", "us-east-1a", "spot"),
    ]


def test_the_whole_launch_template_applies(launcher: Launcher) -> None:
    (instance_id,) = launcher.launch()
    (reservation,) = launcher.ec2.describe_instances()["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["InstanceType"] == "c7g.large"
    asked = {"InstanceId": instance_id, "Attribute": "instanceInitiatedShutdownBehavior"}
    answer = launcher.ec2.describe_instance_attribute(**asked)
    assert answer["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_a_call_with_a_dropped_answer_takes_effect(launcher: Launcher) -> None:
    launcher.cloud.faults.drop_answers("RunInstances")
    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        launcher.launch(token="a")
    (made,) = launcher.cloud.states()
    assert launcher.launch(token="a") == [made]


def test_a_held_call_hangs_before_or_after_its_effect(launcher: Launcher) -> None:
    for after_effect in (False, True):
        before = len(launcher.cloud.events.launches)
        with launcher.cloud.faults.hold("RunInstances", after_effect=after_effect) as hold:
            thread = threading.Thread(target=launcher.launch)
            thread.start()
            assert hold.reached.wait(60)
            assert len(launcher.cloud.events.launches) == before + after_effect
        thread.join()
        assert len(launcher.cloud.events.launches) == before + 1


def test_throttled_calls_are_refused(launcher: Launcher) -> None:
    launcher.cloud.faults.throttle("RunInstances", 2)
    assert [launcher.launch_error(), launcher.launch_error()] == ["RequestLimitExceeded"] * 2
    launcher.launch()
    assert launcher.cloud.events.errors == {"RequestLimitExceeded": 2}


def test_hidden_instances_are_omitted_from_descriptions(launcher: Launcher) -> None:
    ids = launcher.launch(3)
    launcher.cloud.faults.hide_instances({ids[0]: 600})
    assert set(launcher.cloud.states()) == set(ids[1:])
    with pytest.raises(ClientError, match="InvalidInstanceID"):
        launcher.ec2.describe_instances(InstanceIds=[ids[0]])
    launcher.cloud.faults.hide_instances({ids[0]: 0.5})
    until(lambda: set(launcher.cloud.states()) == set(ids), wanted="all of them")
    launcher.cloud.faults.new_instances_hidden_seconds = 600
    (new,) = launcher.launch()
    assert new not in launcher.cloud.states()
    launcher.cloud.faults.new_instances_hidden_seconds = 0.5
    until(lambda: new in launcher.cloud.states(), wanted="the new one")


def test_the_event_log_knows_the_most_alive_at_once(launcher: Launcher) -> None:
    launcher.ec2.terminate_instances(InstanceIds=launcher.launch(4))
    launcher.launch(3)
    assert launcher.cloud.events.max_alive(WORKER) == 4
    assert launcher.cloud.events.max_alive({"workmanager:role": "manager"}) == 0
    assert len(launcher.cloud.events.alive) == 3


def test_quotas_count_the_cores_of_each_market(launcher: Launcher) -> None:
    launcher.cloud.faults.quotas = CoreQuotas(on_demand=8, spot=4)
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    assert len(launcher.launch(6)) == 4, "as many c7g.large, of two cores, as fit"
    assert launcher.launch_error() == "VcpuLimitExceeded"
    assert len(launcher.launch(1, **spot)) == 1
    assert launcher.launch_error(2, least=2, **spot) == "MaxSpotInstanceCountExceeded"
    launcher.ec2.terminate_instances(InstanceIds=list(launcher.cloud.states())[:1])
    assert len(launcher.launch(3)) == 1
