"""The fleet of EC2 instances: launches workers from a launch template, and finds them by their tags."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from scaler.fleets.ec2.capacity_pools import ON_DEMAND, SPOT, Ec2Plan, plan_launches, version_of
from scaler.fleets.ec2.error_codes import INSTANCE_CODES
from scaler.fleets.ec2.errors import to_fleet_error
from scaler.fleets.fleet import Cause, FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest

CLUSTER_TAG, ROLE_TAG, INTENT_TAG = "workmanager:cluster", "workmanager:role", "workmanager:intent"
TEMPLATE_TAG = "workmanager:template"
PAGE_SIZE = 1000
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 3.0, 20.0
MIN_BILLED_SECONDS = 60.0
"""Linux instances are billed by the second, with a minimum of a minute."""
BOOT_SECONDS = 90.0
POLL_SECONDS, IDLE_POLL_SECONDS = 5.0, 30.0
MAX_TERMINATED_PER_CALL, MAX_TERMINATION_CALLS = 100, 5
ENDED_STATES = frozenset({"shutting-down", "terminated"})
STOPPED_STATES = frozenset({"stopping", "stopped"})
UNREADABLE_ADVICE = "see which proxy or endpoint answers in EC2's place"

T = TypeVar("T")


class Ec2Client(Protocol):
    """The part of boto3's untyped client that the fleet uses."""

    def run_instances(self, **arguments: Any) -> Mapping[str, Any]: ...
    def describe_instances(self, **arguments: Any) -> Mapping[str, Any]: ...
    def terminate_instances(self, **arguments: Any) -> Mapping[str, Any]: ...


class Ec2Fleet:
    """The instances of one cluster, identified by their tags.

    Args:
        client: client without retries; the callers repeat what can be repeated.
        reconnect: makes another client.
    """

    def __init__(self, client: Ec2Client, plan: Ec2Plan, *, reconnect: Callable[[], Ec2Client] | None = None) -> None:
        self.name = f"ec2:{plan.cluster}"
        self.profile = Profile(
            boot_seconds=BOOT_SECONDS,
            boot_timeout_seconds=plan.boot_timeout_seconds,
            min_billed_seconds=MIN_BILLED_SECONDS,
            min_idle_seconds=0.0,
            poll_seconds=POLL_SECONDS,
            idle_poll_seconds=IDLE_POLL_SECONDS,
            slots=plan.slots,
            on_demand_base=plan.on_demand_base if plan.spot else 0,
            version=version_of(plan.launch_template, plan),
        )
        self._client = client
        self._reconnect = reconnect
        self._has_credentials = True
        self._plan = plan

    @classmethod
    def connect(cls, plan: Ec2Plan) -> Self:
        """Create the fleet with the region, endpoint and credentials that boto3 finds.

        Raises:
            botocore.exceptions.BotoCoreError: the configuration is incomplete, for instance without a region.
        """
        return cls(_connect(), plan, reconnect=_connect)

    def plan(
        self,
        count: int,
        living: Collection[Instance],
        cooling: Collection[str],
        pending: Collection[LaunchRequest] = (),
    ) -> list[LaunchRequest]:
        """See `plan_launches`."""
        return plan_launches(self._plan, count, living, cooling, pending)

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        """Call RunInstances for at least one instance, with the intent's token as ClientToken.

        Raises:
            FleetError: see its cause.
        """
        arguments = intent.request.arguments
        tags = {CLUSTER_TAG: self._plan.cluster, ROLE_TAG: "worker", INTENT_TAG: intent.token}
        # A repetition must send the same arguments, so the tag names the intent's template, not the current one.
        tags[TEMPLATE_TAG] = ":".join(arguments["LaunchTemplate"].values())
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return await self._call(
            "run_instances",
            lambda answer: [self._described(instance) for instance in answer["Instances"]],
            **arguments,
            MinCount=1,
            MaxCount=intent.request.count,
            ClientToken=intent.token,
            TagSpecifications=[{"ResourceType": kind, "Tags": listed} for kind in ("instance", "volume")],
        )

    async def describe(self) -> list[DescribedInstance]:
        """Call DescribeInstances for the cluster's tags, page by page.

        Raises:
            FleetError: nothing is known.
        """
        filters = [
            {"Name": f"tag:{CLUSTER_TAG}", "Values": [self._plan.cluster]},
            {"Name": f"tag:{ROLE_TAG}", "Values": ["worker"]},
        ]
        described: list[DescribedInstance] = []
        more: dict[str, str] = {}
        while True:
            page, token = await self._call(
                "describe_instances", self._read_page, Filters=filters, MaxResults=PAGE_SIZE, **more
            )
            described += page
            if not token:
                return described
            more = {"NextToken": token}

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        """Call TerminateInstances.

        EC2 refuses a call that names one instance that cannot be terminated, for all of them (all in its zone, if the
        instance has termination protection). So the call is repeated for each half, up to `MAX_TERMINATION_CALLS`.

        Returns:
            See `Fleet`. Ids can be missing.

        Raises:
            FleetError: no call succeeded.
        """
        outcomes: dict[str, FleetError | None] = {}
        failure: FleetError | None = None
        groups = deque(
            ids[start : start + MAX_TERMINATED_PER_CALL] for start in range(0, len(ids), MAX_TERMINATED_PER_CALL)
        )
        for _ in range(max(len(groups), MAX_TERMINATION_CALLS)):
            if not groups:
                break
            group = groups.popleft()
            try:
                ended = await self._call("terminate_instances", _read_terminated, InstanceIds=list(group))
                outcomes.update(dict.fromkeys(ended))
            except FleetError as error:
                if error.code not in INSTANCE_CODES:
                    failure = error
                elif len(group) > 1:
                    half = len(group) // 2
                    groups.extendleft((group[half:], group[:half]))
                else:
                    outcomes[group[0]] = error
        if failure is not None and not outcomes:
            raise failure
        return outcomes

    async def close(self) -> None:
        """Do nothing: the instances belong to all managers and keep running."""

    async def _call(self, name: str, read: Callable[[Mapping[str, Any]], T], **arguments: Any) -> T:
        try:
            if not self._has_credentials and self._reconnect is not None:
                # A client that finds no credentials when it is made looks for them no more.
                self._client, self._has_credentials = await asyncio.to_thread(self._reconnect), True
            return read(await asyncio.to_thread(getattr(self._client, name), **arguments))
        except NoCredentialsError as error:
            self._has_credentials = False
            raise to_fleet_error(error) from error
        except (ClientError, BotoCoreError) as error:
            raise to_fleet_error(error) from error
        except (ResponseParserError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Not EC2's answer, for instance a proxy's page, or only a part of it. botocore reads what it can from HTML.
            message = f"the answer cannot be read: {error!r}"
            raise FleetError(Cause.UNKNOWN, "UnreadableAnswer", message, UNREADABLE_ADVICE) from error

    def _read_page(self, page: Mapping[str, Any]) -> tuple[list[DescribedInstance], str]:
        """Return a page's instances, and the token of the next page; '' if it is the last one."""
        return [self._described(instance) for instance in _instances(page)], page.get("NextToken", "")

    def _described(self, instance: Mapping[str, Any]) -> DescribedInstance:
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
        state = instance["State"]["Name"]
        state_reason = instance.get("StateReason", {}).get("Code", "")
        return DescribedInstance(
            id=instance["InstanceId"],
            launched_at=instance["LaunchTime"].timestamp(),
            token=tags.get(INTENT_TAG, ""),
            kind=instance.get("InstanceType", ""),
            subnet=instance.get("SubnetId", ""),
            zone=instance.get("Placement", {}).get("AvailabilityZone", ""),
            market=SPOT if instance.get("InstanceLifecycle") == "spot" else ON_DEMAND,
            version=version_of(tags.get(TEMPLATE_TAG, ""), self._plan),
            ended=state in ENDED_STATES,
            stopped=state in STOPPED_STATES,
            interrupted=state_reason.startswith("Server.Spot"),
        )


def _connect() -> Ec2Client:
    """Make a client that does not retry. It asks the metadata service for credentials, which can take long."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=20,
    )
    client: Ec2Client = boto3.Session().client("ec2", config=config)
    return client


def _read_terminated(answer: Mapping[str, Any]) -> Sequence[str]:
    return [each["InstanceId"] for each in answer["TerminatingInstances"]]


def _instances(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for reservation in page["Reservations"]:
        yield from reservation["Instances"]
