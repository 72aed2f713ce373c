"""How many of which type, in which zone, on which market. Pure.

On-demand instances are of the first type that is not short, spot instances of all types: what is bought on the spot
market is best spread over types as well as zones, so that EC2 does not take it all back at once.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from scaler.fleets.instances import Instance, LaunchRequest

MAX_INSTANCES_PER_CALL = 50
ON_DEMAND, SPOT = "on-demand", "spot"


@dataclass(frozen=True, slots=True)
class Ec2Plan:
    """What the operator has set up.

    Attributes:
        cluster: name of the system, by which its instances are told from others'.
        launch_template: id (`lt-…`) or name, with `:VERSION` behind it where it is not to be the default version.
            Workers of an earlier version give way to those of a number that stands there.
        subnets, types: to choose from; where there are none, the template says.
        spot: whether the spot market is used at all.
        on_demand_base: so many instances are bought on demand before any is on the spot market.
        slots: jobs that a worker runs at a time.
        boot_limit_seconds: an instance whose worker has not registered by then is ended.
    """

    cluster: str
    launch_template: str
    subnets: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    spot: bool = True
    on_demand_base: int = 0
    slots: int = 1
    boot_timeout_seconds: float = 300.0


@dataclass(frozen=True, slots=True, order=True)
class CapacityPool:
    """A type in a subnet on a market; '' where the template says."""

    kind: str
    subnet: str
    market: str

    def __str__(self) -> str:
        return f"{self.kind or 'template'}/{self.subnet or 'template'}/{self.market}"


def version_of(template: str, plan: Ec2Plan) -> int:
    """The version of the plan's template that an instance's tag, or the plan itself, names; 0 where it names none."""
    name, _, version = template.partition(":")
    same = name == plan.launch_template.partition(":")[0]
    return int(version) if same and version.isdecimal() else 0


def plan_launches(
    plan: Ec2Plan, count: int, living: Collection[Instance], cooling: Collection[str]
) -> list[LaunchRequest]:
    """The calls that launch so many; fewer, or none, where every offering is to be avoided."""
    on_demand = sum(instance.market == ON_DEMAND for instance in living)
    base = min(count, max(0, plan.on_demand_base - on_demand)) if plan.spot else count
    shares: Counter[CapacityPool] = Counter()
    here = Counter(
        CapacityPool(each.kind if plan.types else "", each.subnet if plan.subnets else "", each.market)
        for each in living
    )
    bases = _spread(base, _open(plan, ON_DEMAND, cooling, first_type=True), here)
    shares.update(bases)
    spot = _spread(count - base, _open(plan, SPOT, cooling), here)
    # Where the spot market has nothing left, the rest is bought on demand, and the other way round never.
    missing = count - base - spot.total()
    shares.update(spot)
    shares.update(_spread(missing, _open(plan, ON_DEMAND, cooling, first_type=True), here + bases))
    return [
        LaunchRequest(part, str(offering), _arguments(plan, offering))
        for offering, number in sorted(shares.items())
        for part in _parts(number)
    ]


def _open(plan: Ec2Plan, market: str, avoided: Collection[str], *, first_type: bool = False) -> list[CapacityPool]:
    """The offerings that are not short, the preferred type first."""
    if market == SPOT and not plan.spot:
        return []
    kinds, subnets = plan.types or ("",), plan.subnets or ("",)
    found: list[CapacityPool] = []
    for kind in kinds:
        found += [each for subnet in subnets if str(each := CapacityPool(kind, subnet, market)) not in avoided]
        if found and first_type:
            break
    return found


def _spread(count: int, offerings: list[CapacityPool], here: Counter[CapacityPool]) -> Counter[CapacityPool]:
    """Evenly, counting those that are there already."""
    shares: Counter[CapacityPool] = Counter()
    for _ in range(count if offerings else 0):
        shares[min(offerings, key=lambda each: here[each] + shares[each])] += 1
    return shares


def _parts(number: int) -> Iterator[int]:
    while number > 0:
        yield min(number, MAX_INSTANCES_PER_CALL)
        number -= MAX_INSTANCES_PER_CALL


def _arguments(plan: Ec2Plan, offering: CapacityPool) -> dict[str, Any]:
    """Of RunInstances, without token and count."""
    name, _, version = plan.launch_template.partition(":")
    template = {"LaunchTemplateId" if name.startswith("lt-") else "LaunchTemplateName": name}
    if version:
        template["Version"] = version
    arguments: dict[str, Any] = {"LaunchTemplate": template}
    if offering.kind:
        arguments["InstanceType"] = offering.kind
    if offering.subnet:
        arguments["SubnetId"] = offering.subnet
    if offering.market == SPOT:
        options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        arguments["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    return arguments
