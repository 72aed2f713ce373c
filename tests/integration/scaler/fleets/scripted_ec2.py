"""EC2 in memory, as boto3's client shows it: it refuses what a test says, with EC2's codes."""

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.fake_clock import FakeClock

Refusal = Callable[[Mapping[str, Any]], str | None]
"""Returns the code with which a call with these arguments is refused; None: it is carried out."""


class ScriptedEc2:
    """The calls that `Ec2Fleet` makes.

    Attributes:
        refusals: by method.
        hidden_seconds: how long new instances are not described.
        lost_answers: so many of the next launches take effect without an answer.
        calls: (time, method, arguments) of each call.
        instances: by id, as DescribeInstances returns them.
        protected: by id of an instance, the attribute that protects it: `disableApiTermination` or `disableApiStop`.
            https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html: both keep it from termination.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.refusals: dict[str, Refusal] = {}
        self.calls: list[tuple[float, str, Mapping[str, Any]]] = []
        self.instances: dict[str, dict[str, Any]] = {}
        self.protected: dict[str, str] = {}
        self.hidden_seconds = 0.0
        self.lost_answers = 0
        self._numbers = itertools.count()
        self._by_token: dict[str, list[dict[str, Any]]] = {}

    def run_instances(self, **arguments: Any) -> Mapping[str, Any]:
        self._begin("run_instances", arguments)
        token = arguments["ClientToken"]
        if token not in self._by_token:
            self._by_token[token] = [self._launch(arguments) for _ in range(arguments["MaxCount"])]
        if self.lost_answers:
            self.lost_answers -= 1
            raise ReadTimeoutError(endpoint_url="https://ec2")
        return {"Instances": self._by_token[token]}

    def describe_instances(self, **arguments: Any) -> Mapping[str, Any]:
        self._begin("describe_instances", arguments)
        shown = self._clock.now - self.hidden_seconds
        instances = [each for each in self.instances.values() if each["LaunchTime"].timestamp() <= shown]
        return {"Reservations": [{"Instances": instances}]}

    def terminate_instances(self, **arguments: Any) -> Mapping[str, Any]:
        self._begin("terminate_instances", arguments)
        ids = arguments["InstanceIds"]
        protected = [id_ for id_ in ids if id_ in self.protected]
        # The call ends those in other zones although it is refused, and none in the zone of a protected one:
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html
        zones = {self.instances[id_]["Placement"]["AvailabilityZone"] for id_ in protected}
        for id_ in ids:
            if self.instances[id_]["Placement"]["AvailabilityZone"] not in zones:
                self.instances[id_]["State"] = {"Name": "shutting-down"}
        for id_ in protected:
            message = f"The instance '{id_}' may not be terminated. Modify its '{self.protected[id_]}' attribute"
            raise error("OperationNotPermitted", "TerminateInstances", message)
        return {"TerminatingInstances": [{"InstanceId": id_} for id_ in ids]}

    def count(self, method: str) -> int:
        """Return the number of calls of a method."""
        return sum(called == method for _, called, _ in self.calls)

    @property
    def living(self) -> list[str]:
        """Ids of the instances that have not ended."""
        return [id_ for id_, each in self.instances.items() if each["State"]["Name"] == "running"]

    def _begin(self, method: str, arguments: Mapping[str, Any]) -> None:
        self.calls.append((self._clock.now, method, arguments))
        refusal = self.refusals.get(method)
        code = refusal(arguments) if refusal is not None else None
        if code is not None:
            raise error(code, method, "as the test says")

    def _launch(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        id_ = f"i-{next(self._numbers):04d}"
        self.instances[id_] = {
            "InstanceId": id_,
            "State": {"Name": "running"},
            "LaunchTime": datetime.fromtimestamp(self._clock.now, UTC),
            "InstanceType": arguments.get("InstanceType", "template"),
            "SubnetId": arguments.get("SubnetId", "template"),
            "Placement": {"AvailabilityZone": f"zone of {arguments.get('SubnetId', 'template')}"},
            "InstanceLifecycle": "spot" if "InstanceMarketOptions" in arguments else "",
            "Tags": arguments["TagSpecifications"][0]["Tags"],
        }
        return self.instances[id_]


def error(code: str, method: str, message: str) -> ClientError:
    """Return the exception that boto3 raises for an error answer."""
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, method)  # type: ignore[arg-type]  # botocore's stub wants all of its metadata
