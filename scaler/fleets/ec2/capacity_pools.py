"""Capacity pools: divides a launch over instance types, subnets (zones) and markets. Pure.

On-demand instances are of the first type that has capacity. Spot instances are spread over all types and zones, so that
EC2 does not reclaim all of them at once.
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
    """Launch configuration from the operator's settings.

    Attributes:
        cluster: name of the system; the tag that identifies its instances.
        launch_template: id (`lt-…`) or name, optionally with `:VERSION`; otherwise EC2 uses the default version. If the
            version is a number, workers of an earlier version are replaced.
        subnets, types: subnets and instance types to choose from; if empty, the template specifies them.
        spot: whether the spot market is used.
        on_demand_base: number of instances that are launched on demand before any on the spot market.
        on_demand_max: most instances on demand if the spot market is used; None: as many as there can be instances.
        slots: number of jobs that a worker runs at a time.
        boot_timeout_seconds: an instance whose worker has not registered by then is terminated.
    """

    cluster: str
    launch_template: str
    subnets: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    spot: bool = True
    on_demand_base: int = 0
    on_demand_max: int | None = None
    slots: int = 1
    boot_timeout_seconds: float = 300.0


@dataclass(frozen=True, slots=True, order=True)
class CapacityPool:
    """An instance type in a subnet on a market; '' if the template specifies it."""

    kind: str
    subnet: str
    market: str

    def __str__(self) -> str:
        return f"{self.kind or 'template'}/{self.subnet or 'template'}/{self.market}"


def version_of(template: str, plan: Ec2Plan) -> int:
    """Return the version number in a template name or tag; 0 if it has none or names another template."""
    name, _, version = template.partition(":")
    same = name == plan.launch_template.partition(":")[0]
    return int(version) if same and version.isdecimal() else 0


def plan_launches(
    plan: Ec2Plan,
    count: int,
    living: Collection[Instance],
    cooling: Collection[str],
    pending: Collection[LaunchRequest] = (),
) -> list[LaunchRequest]:
    """Return the calls that launch `count` instances: fewer, or none, if too many pools are cooling down, or there are
    as many on-demand instances as there may be.

    Args:
        pending: calls whose answer is not known yet. They count for the most instances on demand.
    """
    existing_on_demand = sum(instance.market == ON_DEMAND for instance in living)
    on_demand_left = count
    if plan.spot and plan.on_demand_max is not None:
        pending_on_demand = sum(each.count for each in pending if each.pool.endswith(f"/{ON_DEMAND}"))
        on_demand_left = max(0, plan.on_demand_max - existing_on_demand - pending_on_demand)
    base_count = min(count, max(0, plan.on_demand_base - existing_on_demand)) if plan.spot else count
    base_count = min(base_count, on_demand_left)
    existing = Counter(
        CapacityPool(each.kind if plan.types else "", each.subnet if plan.subnets else "", each.market)
        for each in living
    )
    on_demand_pools = _available_pools(plan, ON_DEMAND, cooling, first_type=True)
    base = _spread(base_count, on_demand_pools, existing)
    spot = _spread(count - base_count, _available_pools(plan, SPOT, cooling), existing)
    # If the spot market has no capacity left, the rest is launched on demand. The opposite never happens.
    rest_count = min(count - base_count - spot.total(), on_demand_left - base.total())
    rest = _spread(rest_count, on_demand_pools, existing + base)
    return [
        LaunchRequest(part, str(pool), _arguments(plan, pool))
        for pool, share in sorted((base + spot + rest).items())
        for part in _parts(share)
    ]


def _available_pools(
    plan: Ec2Plan, market: str, cooling: Collection[str], *, first_type: bool = False
) -> list[CapacityPool]:
    """Return the pools that are not cooling down, preferred types first.

    Args:
        first_type: return only the pools of the first type that has any.
    """
    if market == SPOT and not plan.spot:
        return []
    kinds, subnets = plan.types or ("",), plan.subnets or ("",)
    pools: list[CapacityPool] = []
    for kind in kinds:
        pools += [pool for subnet in subnets if str(pool := CapacityPool(kind, subnet, market)) not in cooling]
        if pools and first_type:
            break
    return pools


def _spread(count: int, pools: list[CapacityPool], existing: Counter[CapacityPool]) -> Counter[CapacityPool]:
    """Divide `count` instances evenly over the pools, counting the existing ones in."""
    shares: Counter[CapacityPool] = Counter()
    for _ in range(count if pools else 0):
        shares[min(pools, key=lambda pool: existing[pool] + shares[pool])] += 1
    return shares


def _parts(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, MAX_INSTANCES_PER_CALL)
        count -= MAX_INSTANCES_PER_CALL


def _arguments(plan: Ec2Plan, pool: CapacityPool) -> dict[str, Any]:
    """Return RunInstances' arguments, except token and count."""
    name, _, version = plan.launch_template.partition(":")
    template = {"LaunchTemplateId" if name.startswith("lt-") else "LaunchTemplateName": name}
    if version:
        template["Version"] = version
    arguments: dict[str, Any] = {"LaunchTemplate": template}
    if pool.kind:
        arguments["InstanceType"] = pool.kind
    if pool.subnet:
        arguments["SubnetId"] = pool.subnet
    if pool.market == SPOT:
        options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        arguments["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    return arguments
