"""How launches are divided over capacity pools."""

from collections import Counter
from dataclasses import replace

import pytest

from scaler.fleets.ec2.capacity_pools import MAX_INSTANCES_PER_CALL, Ec2Plan, plan_launches, version_of
from scaler.fleets.instances import Instance, LaunchRequest

PLAN = Ec2Plan("c", "workers", subnets=("s-a", "s-b"), types=("big", "small"))


def _shares(
    plan: Ec2Plan, count: int, living: list[Instance] | None = None, cooling: set[str] | None = None
) -> dict[str, int]:
    shares: Counter[str] = Counter()
    for request in plan_launches(plan, count, living or [], cooling or set()):
        shares[request.pool] += request.count
    return dict(shares)


def _instance(number: int, kind: str, subnet: str, market: str) -> Instance:
    return Instance(f"i-{number}", 0.0, kind=kind, subnet=subnet, market=market)


def test_spot_instances_are_spread_evenly_over_types_and_zones() -> None:
    assert _shares(PLAN, 8) == {f"{kind}/{subnet}/spot": 2 for kind in ("big", "small") for subnet in ("s-a", "s-b")}


def test_existing_instances_are_counted_in() -> None:
    living = [_instance(n, "big", "s-a", "spot") for n in range(3)]
    assert _shares(PLAN, 3, living) == {"big/s-b/spot": 1, "small/s-a/spot": 1, "small/s-b/spot": 1}


def test_the_base_is_launched_on_demand_first() -> None:
    plan = replace(PLAN, on_demand_base=2)
    assert _shares(plan, 3) == {"big/s-a/on-demand": 1, "big/s-b/on-demand": 1, "big/s-a/spot": 1}
    living = [_instance(n, "big", "s-a", "on-demand") for n in range(2)]
    assert _shares(plan, 1, living) == {"big/s-a/spot": 1}


def test_cooling_pools_are_skipped_and_spot_falls_back_to_on_demand() -> None:
    cooling = {f"{kind}/{subnet}/spot" for kind in ("big", "small") for subnet in ("s-a", "s-b")}
    assert _shares(PLAN, 2, cooling=cooling - {"small/s-b/spot"}) == {"small/s-b/spot": 2}
    assert _shares(PLAN, 2, cooling=cooling) == {"big/s-a/on-demand": 1, "big/s-b/on-demand": 1}
    cooling |= {"big/s-a/on-demand", "big/s-b/on-demand"}
    assert _shares(PLAN, 1, cooling=cooling) == {"small/s-a/on-demand": 1}
    cooling |= {"small/s-a/on-demand", "small/s-b/on-demand"}
    assert _shares(PLAN, 1, cooling=cooling) == {}


NO_SPOT = {f"{kind}/{subnet}/spot" for kind in ("big", "small") for subnet in ("s-a", "s-b")}


@pytest.mark.parametrize(
    ("base", "living", "pending", "shares"),
    [
        (0, 0, 0, {"big/s-a/on-demand": 1, "big/s-b/on-demand": 1}),
        (1, 0, 0, {"big/s-a/on-demand": 1, "big/s-b/on-demand": 1}),
        (0, 1, 0, {"big/s-b/on-demand": 1}),
        (0, 1, 1, {}),
        (3, 2, 0, {}),
        (0, 5, 0, {}),
    ],
)
def test_no_more_are_launched_on_demand_than_there_may_be(
    base: int, living: int, pending: int, shares: dict[str, int]
) -> None:
    plan = replace(PLAN, on_demand_base=base, on_demand_max=2)
    existing = [_instance(n, "big", "s-a", "on-demand") for n in range(living)]
    requests = [LaunchRequest(1, "small/s-b/on-demand"), LaunchRequest(9, "small/s-b/spot")][: 2 * pending]
    found = plan_launches(plan, 6, existing, NO_SPOT, requests)
    assert {each.pool: each.count for each in found} == shares
    assert sum(each.count for each in plan_launches(plan, 6, existing, (), requests)) == 6


def test_the_most_on_demand_does_not_count_without_spot() -> None:
    assert _shares(replace(PLAN, spot=False, on_demand_max=0), 2) == {"big/s-a/on-demand": 1, "big/s-b/on-demand": 1}


def test_without_spot_all_instances_are_on_demand() -> None:
    assert _shares(replace(PLAN, spot=False), 2) == {"big/s-a/on-demand": 1, "big/s-b/on-demand": 1}


def test_large_launches_are_split_into_several_calls() -> None:
    plan = Ec2Plan("c", "workers", spot=False)
    assert [request.count for request in plan_launches(plan, 2 * MAX_INSTANCES_PER_CALL + 7, [], set())] == [
        MAX_INSTANCES_PER_CALL,
        MAX_INSTANCES_PER_CALL,
        7,
    ]


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("workers", {"LaunchTemplateName": "workers"}),
        ("lt-0123:7", {"LaunchTemplateId": "lt-0123", "Version": "7"}),
        ("workers:$Latest", {"LaunchTemplateName": "workers", "Version": "$Latest"}),
    ],
)
def test_the_launch_template_is_passed_by_id_or_name(template: str, named: dict[str, str]) -> None:
    (request,) = plan_launches(Ec2Plan("c", template, spot=False), 1, [], set())
    assert request.arguments == {"LaunchTemplate": named}


@pytest.mark.parametrize(
    ("tag", "version"), [("lt-1:6", 6), ("lt-2:6", 0), ("lt-1:$Latest", 0), ("lt-1", 0), ("", 0), ("lt-1:²", 0)]
)
def test_a_version_is_known_only_for_the_same_template_and_a_number(tag: str, version: int) -> None:
    assert version_of(tag, Ec2Plan("c", "lt-1:7")) == version


def test_spot_instances_terminate_on_interruption() -> None:
    (request,) = plan_launches(Ec2Plan("c", "workers", subnets=("s-a",), types=("big",)), 1, [], set())
    options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    assert request.arguments["InstanceMarketOptions"] == {"MarketType": "spot", "SpotOptions": options}
    assert (request.arguments["InstanceType"], request.arguments["SubnetId"]) == ("big", "s-a")
