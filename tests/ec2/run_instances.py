"""RunInstances with the behaviour of EC2 that moto lacks: client tokens, MaxCount, capacity, full launch templates.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.ec2.event_log import EventLog, Launch
from tests.ec2.faults import ApiError, Faults
from tests.ec2.moto_region import MotoRegion

QueryForm = dict[str, str]
ApiAnswer = tuple[int, bytes]
AskMoto = Callable[[QueryForm], ApiAnswer]


MAX_TOKEN_CHARACTERS = 64
"""https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html"""


@dataclass(frozen=True, slots=True)
class _TokenUse:
    form: QueryForm
    answer: ApiAnswer
    instance_ids: tuple[str, ...]


class InstanceLauncher:
    """RunInstances in one region."""

    def __init__(self, region: MotoRegion, faults: Faults, events: EventLog) -> None:
        self._region = region
        self._faults = faults
        self._events = events
        self._by_token: dict[str, _TokenUse] = {}

    def run(self, form: QueryForm, ask_moto: AskMoto) -> ApiAnswer:
        """Launch instances, or repeat the answer to a call with the same token.

        Args:
            ask_moto: sends a call to moto and returns its answer.

        Raises:
            ApiError: EC2 would refuse the call.
        """
        token = form.get("ClientToken", "")
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise ApiError("InvalidClientToken", "The client token is too long, or has characters that are not ASCII")
        if (before := self._by_token.get(token)) is not None:
            return self._repeat(before, form)
        template = self._region.launch_template_data(form)
        full = _with_template(form, template)
        kind = self._kind(full, template)
        granted = self._grant(full, kind)
        known = self._region.instance_ids()
        answer = ask_moto(full | {"MinCount": str(granted), "MaxCount": str(granted)})
        new = tuple(id_ for id_ in self._region.instance_ids() if id_ not in known)
        for instance_id in new:
            self._region.ensure_instance_profile(instance_id, full)
            tags = self._region.tags(instance_id)
            self._events.record_launch(Launch(time.monotonic(), token, instance_id, *kind, tags))
        if token and new:
            self._by_token[token] = _TokenUse(form, answer, new)
        return answer

    def _repeat(self, before: _TokenUse, form: QueryForm) -> ApiAnswer:
        if before.form != form:
            changed = sorted(key for key in before.form.keys() | form if before.form.get(key) != form.get(key))
            raise ApiError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s): "
                + ", ".join(changed),
            )
        if not any(self._region.is_alive(instance_id) for instance_id in before.instance_ids):
            raise ApiError(
                "IdempotentInstanceTerminated",
                "The client token you have provided is associated with a terminated instance.",
            )
        return before.answer

    def _kind(self, form: QueryForm, template: Mapping[str, Any]) -> tuple[str, str, str]:
        instance_type = form.get("InstanceType") or template.get("InstanceType", "m1.small")
        zone = self._region.availability_zone(form.get("SubnetId", ""), form.get("Placement.AvailabilityZone", ""))
        return instance_type, zone, form.get("InstanceMarketOptions.MarketType", "on-demand")

    def _grant(self, form: QueryForm, kind: tuple[str, str, str]) -> int:
        least, most = int(form["MinCount"]), int(form["MaxCount"])
        if not 1 <= least <= most:
            raise ApiError("InvalidParameterValue", f"MinCount {least} and MaxCount {most} are out of order")
        instance_type, _, market = kind
        used = self._region.cores_in_use(market)
        most = self._faults.quotas.granted(market, self._region.cores_of(instance_type), used, least, most)
        rules = [rule for rule in self._faults.capacity if rule.covers(*kind)]
        for rule in rules:
            if rule.remaining < least:
                raise ApiError(rule.code, rule.message, 500 if rule.code.startswith("Insufficient") else 400)
            most = min(most, rule.remaining)
        for rule in rules:
            rule.remaining -= most
        return most


def _with_template(form: QueryForm, template: Mapping[str, Any]) -> QueryForm:
    """Return the call with the launch template fields that moto ignores. The call's own parameters win."""
    options = template.get("MetadataOptions", {})
    from_template = {
        "InstanceInitiatedShutdownBehavior": template.get("InstanceInitiatedShutdownBehavior"),
        "IamInstanceProfile.Arn": template.get("IamInstanceProfile", {}).get("Arn"),
        "IamInstanceProfile.Name": template.get("IamInstanceProfile", {}).get("Name"),
        "InstanceMarketOptions.MarketType": template.get("InstanceMarketOptions", {}).get("MarketType"),
        **{f"MetadataOptions.{name}": options.get(name) for name in ("HttpTokens", "HttpPutResponseHopLimit")},
    }
    return {name: str(value) for name, value in from_template.items() if value is not None} | form
