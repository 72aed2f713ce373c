"""The simulated EC2 answers as EC2 does, where moto alone does not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from tests.ec2.faults import CapacityLimit
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until

WORKER = {"workmanager:role": "worker"}


class Account:
    """Launches from one template."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self.cloud = cloud
        self.ec2 = cloud.client("ec2")
        self.template = cloud.create_template("#!/bin/bash")

    def launch(self, count: int = 1, *, least: int = 1, token: str = "", **call: Any) -> list[str]:
        """The ids of what was launched."""
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

    def refusal(self, *arguments: Any, **call: Any) -> str:
        """The code of the error that a launch ends in."""
        with pytest.raises(ClientError) as caught:
            self.launch(*arguments, **call)
        return str(caught.value.response["Error"]["Code"])


@pytest.fixture
def account(api_only_cloud: SimulatedCloud) -> Account:
    return Account(api_only_cloud)


def test_a_token_launches_once(account: Account) -> None:
    first = account.launch(3, token="a")
    assert account.launch(3, token="a") == first
    assert len(account.launch(3, token="b")) == 3
    assert len(account.cloud.states()) == 6


def test_a_token_with_other_arguments_is_refused(account: Account) -> None:
    account.launch(token="a")
    assert account.refusal(2, token="a") == "IdempotentParameterMismatch"


def test_a_token_whose_instances_have_gone_is_refused(account: Account) -> None:
    ids = account.launch(2, token="a")
    account.ec2.terminate_instances(InstanceIds=ids[:1])
    assert account.launch(2, token="a") == ids
    account.ec2.terminate_instances(InstanceIds=ids[1:])
    assert account.refusal(2, token="a") == "IdempotentInstanceTerminated"


def test_a_launch_that_was_refused_leaves_its_token_unused(account: Account) -> None:
    account.cloud.faults.capacity = [CapacityLimit()]
    assert account.refusal(token="a") == "InsufficientInstanceCapacity"
    account.cloud.faults.capacity = []
    assert len(account.launch(2, token="a")) == 2


def test_as_many_are_launched_as_there_is_capacity_for(account: Account) -> None:
    account.cloud.faults.capacity = [CapacityLimit(remaining=5)]
    assert len(account.launch(3)) == 3
    assert account.refusal(4, least=3) == "InsufficientInstanceCapacity"
    assert len(account.launch(4)) == 2
    assert account.refusal() == "InsufficientInstanceCapacity"


def test_capacity_is_short_of_a_type_in_a_zone_on_a_market(account: Account) -> None:
    zones = account.cloud.subnets()
    account.cloud.faults.capacity = [
        CapacityLimit(instance_type="c7g.large", zone="us-east-1a", market="spot", code="MaxSpotInstanceCountExceeded")
    ]
    spot = {"MarketType": "spot"}
    a, b = zones["us-east-1a"], zones["us-east-1b"]
    assert account.refusal(SubnetId=a, InstanceMarketOptions=spot) == "MaxSpotInstanceCountExceeded"
    account.launch(SubnetId=a)
    account.launch(SubnetId=b, InstanceMarketOptions=spot)
    account.launch(SubnetId=a, InstanceMarketOptions=spot, InstanceType="m7g.large")
    kinds = [(launch.instance_type, launch.zone, launch.market) for launch in account.cloud.events.launches]
    assert kinds == [
        ("c7g.large", "us-east-1a", "on-demand"),
        ("c7g.large", "us-east-1b", "spot"),
        ("m7g.large", "us-east-1a", "spot"),
    ]


def test_all_of_the_launch_template_applies(account: Account) -> None:
    (instance_id,) = account.launch()
    (reservation,) = account.ec2.describe_instances()["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["InstanceType"] == "c7g.large"
    asked = {"InstanceId": instance_id, "Attribute": "instanceInitiatedShutdownBehavior"}
    answer = account.ec2.describe_instance_attribute(**asked)
    assert answer["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_a_lost_answer_is_that_of_a_call_that_took_effect(account: Account) -> None:
    account.cloud.faults.drop_answers("RunInstances")
    with pytest.raises((ConnectionClosedError, EndpointConnectionError)):
        account.launch(token="a")
    (made,) = account.cloud.states()
    assert account.launch(token="a") == [made]


def test_a_call_hangs_before_or_after_its_effect(account: Account) -> None:
    for after_effect in (False, True):
        before = len(account.cloud.events.launches)
        with account.cloud.faults.hold("RunInstances", after_effect=after_effect) as hold:
            thread = threading.Thread(target=account.launch)
            thread.start()
            assert hold.reached.wait(60)
            assert len(account.cloud.events.launches) == before + after_effect
        thread.join()
        assert len(account.cloud.events.launches) == before + 1


def test_calls_are_throttled(account: Account) -> None:
    account.cloud.faults.throttle("RunInstances", 2)
    assert [account.refusal(), account.refusal()] == ["RequestLimitExceeded"] * 2
    account.launch()
    assert account.cloud.events.errors == {"RequestLimitExceeded": 2}


def test_instances_are_left_out_of_descriptions_for_a_while(account: Account) -> None:
    ids = account.launch(3)
    account.cloud.faults.hide_instances({ids[0]: 600})
    assert set(account.cloud.states()) == set(ids[1:])
    with pytest.raises(ClientError, match="InvalidInstanceID"):
        account.ec2.describe_instances(InstanceIds=[ids[0]])
    account.cloud.faults.hide_instances({ids[0]: 0.5})
    until(lambda: set(account.cloud.states()) == set(ids), wanted="all of them")
    account.cloud.faults.new_instances_hidden_seconds = 600
    (new,) = account.launch()
    assert new not in account.cloud.states()
    account.cloud.faults.new_instances_hidden_seconds = 0.5
    until(lambda: new in account.cloud.states(), wanted="the new one")


def test_the_ledger_knows_how_many_lived_at_once(account: Account) -> None:
    account.ec2.terminate_instances(InstanceIds=account.launch(4))
    account.launch(3)
    assert account.cloud.events.max_alive(WORKER) == 4
    assert account.cloud.events.max_alive({"workmanager:role": "manager"}) == 0
    assert len(account.cloud.events.alive) == 3
