"""Calls to EC2, checked against boto3's own model of the API, and how their answers are interpreted."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.stub import Stubber

from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.errors import to_fleet_error
from scaler.fleets.ec2.fleet import Ec2Fleet
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import Intent

PLAN = Ec2Plan("c1", "workers:7", subnets=("subnet-a",), types=("m7i.large",))
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    client = boto3.client(
        "ec2",
        region_name="eu-west-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
    client.close()


@pytest.fixture
def fleet(stubber: Stubber) -> Ec2Fleet:
    return Ec2Fleet(stubber.client, PLAN)


def _described(id_: str, state: str = "running", **more: Any) -> dict[str, Any]:
    return {"InstanceId": id_, "State": {"Name": state}, "LaunchTime": AT, **more}


def _intent(fleet: Ec2Fleet, count: int) -> Intent:
    (request,) = fleet.plan(count, (), ())
    return Intent("token-1", recorded_at=1.0, epoch=1, request=request)


async def test_a_launch_is_one_call_with_its_token_and_the_cluster_s_tags(stubber: Stubber, fleet: Ec2Fleet) -> None:
    tags = [
        {"Key": "workmanager:cluster", "Value": "c1"},
        {"Key": "workmanager:role", "Value": "worker"},
        {"Key": "workmanager:intent", "Value": "token-1"},
        {"Key": "workmanager:template", "Value": "workers:7"},
    ]
    stubber.add_response(
        "run_instances",
        {
            "Instances": [
                _described(
                    "i-1",
                    "pending",
                    Tags=tags,
                    InstanceType="m7i.large",
                    SubnetId="subnet-a",
                    Placement={"AvailabilityZone": "eu-west-1a"},
                    InstanceLifecycle="spot",
                )
            ]
        },
        {
            "LaunchTemplate": {"LaunchTemplateName": "workers", "Version": "7"},
            "InstanceType": "m7i.large",
            "SubnetId": "subnet-a",
            "InstanceMarketOptions": {
                "MarketType": "spot",
                "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
            },
            "MinCount": 1,
            "MaxCount": 3,
            "ClientToken": "token-1",
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": tags},
                {"ResourceType": "volume", "Tags": tags},
            ],
        },
    )
    (instance,) = await fleet.launch(_intent(fleet, 3), repeated=False)
    assert (instance.id, instance.token, instance.market) == ("i-1", "token-1", "spot")
    assert (instance.kind, instance.subnet, instance.zone) == ("m7i.large", "subnet-a", "eu-west-1a")
    assert (instance.launched_at, instance.ended) == (AT.timestamp(), False)
    assert instance.version == fleet.profile.version == 7


async def test_describe_reads_all_pages_of_the_cluster_s_workers(stubber: Stubber, fleet: Ec2Fleet) -> None:
    expected = {
        "Filters": [
            {"Name": "tag:workmanager:cluster", "Values": ["c1"]},
            {"Name": "tag:workmanager:role", "Values": ["worker"]},
        ],
        "MaxResults": 1000,
    }
    states = ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]
    first = [{"Instances": [_described(f"i-{state}", state)]} for state in states[:3]]
    second = [{"Instances": [_described(f"i-{state}", state) for state in states[3:]]}]
    stubber.add_response("describe_instances", {"Reservations": first, "NextToken": "more"}, expected)
    stubber.add_response("describe_instances", {"Reservations": second}, {**expected, "NextToken": "more"})
    described = await fleet.describe()
    assert [instance.id for instance in described] == [f"i-{state}" for state in states]
    assert [instance.ended for instance in described] == [False, False, True, True, False, False]
    assert [instance.stopped for instance in described] == [False, False, False, False, True, True]


async def test_a_spot_interruption_is_recognized(stubber: Stubber, fleet: Ec2Fleet) -> None:
    reason = {"Code": "Server.SpotInstanceTermination", "Message": ""}
    instance = _described("i-1", "terminated", StateReason=reason)
    stubber.add_response("describe_instances", {"Reservations": [{"Instances": [instance]}]})
    (described,) = await fleet.describe()
    assert described.interrupted


async def test_an_unknown_instance_does_not_prevent_the_termination_of_others(
    stubber: Stubber, fleet: Ec2Fleet
) -> None:
    def ended(*ids: str) -> dict[str, Any]:
        return {"TerminatingInstances": [{"InstanceId": id_} for id_ in ids]}

    unknown = {"service_error_code": "InvalidInstanceID.NotFound", "http_status_code": 400}
    stubber.add_client_error("terminate_instances", expected_params={"InstanceIds": ["i-1", "i-2"]}, **unknown)
    stubber.add_client_error("terminate_instances", expected_params={"InstanceIds": ["i-1"]}, **unknown)
    stubber.add_response("terminate_instances", ended("i-2"), {"InstanceIds": ["i-2"]})
    outcomes = await fleet.terminate(["i-1", "i-2"])
    assert outcomes["i-2"] is None
    refusal = outcomes["i-1"]
    assert refusal is not None
    assert refusal.cause is Cause.GONE


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("InsufficientInstanceCapacity", 500, Cause.CAPACITY),
        ("SpotMaxPriceTooLow", 400, Cause.CAPACITY),
        ("MaxSpotInstanceCountExceeded", 400, Cause.CAPACITY),
        ("InsufficientFreeAddressesInSubnet", 400, Cause.CAPACITY),
        ("VcpuLimitExceeded", 400, Cause.CAPACITY),
        ("Unsupported", 400, Cause.CAPACITY),
        ("UnfulfillableCapacity", 400, Cause.CAPACITY),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403, Cause.POOL_REFUSED),
        ("InvalidSubnetID.NotFound", 400, Cause.POOL_REFUSED),
        ("InvalidParameterValue", 400, Cause.POOL_REFUSED),
        ("SomethingNew", 400, Cause.REFUSED),
        ("Server.InternalError", 500, Cause.UNKNOWN),
        ("502", 502, Cause.UNKNOWN),
        ("Unknown", 403, Cause.UNKNOWN),
        ("RequestLimitExceeded", 503, Cause.THROTTLED),
        ("Throttling", 400, Cause.THROTTLED),
        ("InternalError", 500, Cause.UNKNOWN),
        ("Unavailable", 503, Cause.UNKNOWN),
        ("SomethingNew", 500, Cause.UNKNOWN),
        ("UnauthorizedOperation", 403, Cause.REFUSED),
        ("InvalidAMIID.NotFound", 400, Cause.REFUSED),
        ("IdempotentParameterMismatch", 400, Cause.REFUSED),
        ("IdempotentInstanceTerminated", 400, Cause.GONE),
    ],
)
async def test_every_error_code_has_a_cause(
    stubber: Stubber, fleet: Ec2Fleet, code: str, status: int, cause: Cause
) -> None:
    stubber.add_client_error("run_instances", service_error_code=code, http_status_code=status)
    with pytest.raises(FleetError) as caught:
        await fleet.launch(_intent(fleet, 1), repeated=False)
    assert (caught.value.cause, caught.value.code) == (cause, code)


@pytest.mark.parametrize("code", ["VcpuLimitExceeded", "InvalidSubnetID.NotFound", "ExpiredToken", "OptInRequired"])
def test_what_an_operator_can_do_is_told(code: str) -> None:
    assert to_fleet_error(ClientError({"Error": {"Code": code, "Message": ""}}, "RunInstances")).advice


def test_without_an_answer_the_outcome_is_unknown() -> None:
    lost = [ReadTimeoutError(endpoint_url="https://ec2"), EndpointConnectionError(endpoint_url="https://ec2")]
    assert {to_fleet_error(error).cause for error in lost} == {Cause.UNKNOWN}
    assert to_fleet_error(NoCredentialsError()).cause is Cause.REFUSED
