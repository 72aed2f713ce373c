"""EC2 in memory, as boto3's client shows it: it refuses what a test says, with EC2's codes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.fake_clock import FakeClock

Refusal = Callable[[Mapping[str, Any]], str | None]
"""Returns the code with which a call with these arguments is refused; None: it is carried out."""


class ScriptedEc2:
    """The calls that `Ec2Fleet` makes.

    Attributes:
        refusals: by method.
        calls: (time, method, arguments) of each call.
        instances: by id, as DescribeInstances returns them.
        protected: ids of instances with termination protection.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.refusals: dict[str, Refusal] = {}
        self.calls: list[tuple[float, str, Mapping[str, Any]]] = []
        self.instances: dict[str, dict[str, Any]] = {}
        self.protected: set[str] = set()

    def run_instances(self, **arguments: Any) -> Mapping[str, Any]:
        self._begin("run_instances", arguments)
        launched = [self._launch(arguments) for _ in range(arguments["MaxCount"])]
        return {"Instances": launched}

    def describe_instances(self, **arguments: Any) -> Mapping[str, Any]:
        self._begin("describe_instances", arguments)
        return {"Reservations": [{"Instances": list(self.instances.values())}]}

    def terminate_instances(self, **arguments: Any) -> Mapping[str, Any]:
        self._begin("terminate_instances", arguments)
        ids = arguments["InstanceIds"]
        for id_ in ids:
            if id_ in self.protected:
                message = f"The instance '{id_}' may not be terminated. Modify its 'disableApiTermination' attribute"
                raise error("OperationNotPermitted", "TerminateInstances", message)
        for id_ in ids:
            self.instances[id_]["State"] = {"Name": "shutting-down"}
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
        id_ = f"i-{len(self.instances):04d}"
        self.instances[id_] = {
            "InstanceId": id_,
            "State": {"Name": "running"},
            "LaunchTime": datetime.fromtimestamp(self._clock.now, UTC),
            "InstanceType": arguments.get("InstanceType", "template"),
            "SubnetId": arguments.get("SubnetId", "template"),
            "InstanceLifecycle": "spot" if "InstanceMarketOptions" in arguments else "",
            "Tags": arguments["TagSpecifications"][0]["Tags"],
        }
        return self.instances[id_]


def error(code: str, method: str, message: str) -> ClientError:
    """Return the exception that boto3 raises for an error answer."""
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, method)  # type: ignore[arg-type]  # botocore's stub wants all of its metadata
