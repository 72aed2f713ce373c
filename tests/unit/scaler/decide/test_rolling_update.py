"""Workers of an earlier version: who gets a successor, who goes, and how many at a time."""

from dataclasses import replace

from jobqueue.workers.registry import WorkerView
from scaler.decide.actions import choose_idle, plan_actions
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.policy import Decision, Limits
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.operator_overrides import Overrides
from scaler.state.store import ScalerState
from tests.unit.scaler.factories import NOW, PROFILE, instance, worker

NEW = replace(PROFILE, version=2)
KEEP = Decision(0, 0, "KEEP")
LIMITS = Limits(min_workers=0, max_workers=20)

Fleet = tuple[dict[str, Instance], dict[str, WorkerView]]


def _old(*ids: str, busy: bool = True, version: int = 1, **fields: object) -> Fleet:
    """Instances that serve."""
    instances = {id_: instance(id_, version=version, **fields) for id_ in ids}
    return instances, {id_: worker(id_, "busy" if busy else "idle", running=int(busy)) for id_ in ids}


def _with(*fleets: Fleet) -> Fleet:
    return {k: v for each in fleets for k, v in each[0].items()}, {k: v for each in fleets for k, v in each[1].items()}


def _ids(found: object) -> list[str]:
    return [each.id for each in found]  # type: ignore[attr-defined]


def test_a_quarter_at_a_time_gets_successors_the_longest_lived_first() -> None:
    instances, workers = _with(*(_old(f"i-{number}", launched_at=float(number)) for number in range(8)))
    steps = plan_actions(ScalerState(NOW), instances, workers, KEEP, LIMITS, NEW)
    assert (steps.launch, _ids(steps.to_be_replaced), steps.terminating) == (2, ["i-0", "i-1"], [])
    assert steps.reason == "UPDATE: drain 0, replace 2 of 8 outdated workers; KEEP"


def test_the_next_ones_have_to_wait_until_successors_have_come() -> None:
    asked, rest = _old("asked", replacement_token="t"), _old("b", "c", "d")
    coming: Fleet = ({"next": instance("next", arrived=False, token="t", version=2)}, {})
    for book, fleet in (
        (ScalerState(NOW), coming),
        (ScalerState(NOW, [Intent("t", NOW, 1, LaunchRequest(1))]), ({}, {})),
    ):
        steps = plan_actions(book, *_with(asked, rest, fleet), KEEP, LIMITS, NEW)
        assert (steps.launch, steps.terminating, steps.reason) == (0, [], "KEEP")
    come = _old("next", busy=False, version=2, token="t")
    steps = plan_actions(ScalerState(NOW), *_with(asked, rest, come), KEEP, LIMITS, NEW)
    assert [(each.id, each.reason) for each in steps.terminating] == [("asked", "outdated")]
    assert _ids(steps.to_be_replaced) == ["b"]


def test_a_successor_that_never_came_is_asked_for_again() -> None:
    steps = plan_actions(ScalerState(NOW), *_old("a", replacement_token="gone"), KEEP, LIMITS, NEW)
    assert (_ids(steps.to_be_replaced), steps.terminating) == (["a"], [])


def test_idle_ones_that_are_not_needed_go_without_a_successor() -> None:
    fleet = _old("a", "b", "c", "d", busy=False)
    steps = plan_actions(ScalerState(NOW), *fleet, KEEP, LIMITS, NEW)
    assert (steps.launch, _ids(steps.terminating)) == (0, ["a"])
    least = replace(LIMITS, min_workers=4)
    steps = plan_actions(ScalerState(NOW), *fleet, KEEP, least, NEW)
    assert (_ids(steps.to_be_replaced), steps.terminating) == (["a"], [])
    waiting = Decision(0, 0, "KEEP", numbers={"queued": 1.0})
    assert plan_actions(ScalerState(NOW), *fleet, waiting, LIMITS, NEW).terminating == []


def test_where_there_is_no_room_one_goes_first_and_the_next_when_it_has_gone() -> None:
    full = replace(LIMITS, max_workers=4)
    fleet = _old("a", "b", "c", "d")
    steps = plan_actions(ScalerState(NOW), *fleet, KEEP, full, NEW)
    assert (steps.launch, _ids(steps.terminating)) == (0, ["a"])
    going = _old("a", terminating_at=NOW, reason="outdated")
    assert plan_actions(ScalerState(NOW), *_with(fleet, going), KEEP, full, NEW).terminating == []
    succeeded = _old("a", terminating_at=NOW, reason="outdated", replacement_token="t")
    assert _ids(plan_actions(ScalerState(NOW), *_with(fleet, succeeded), KEEP, full, NEW).terminating) == ["b"]


def test_a_version_whose_workers_never_come_ends_no_worker() -> None:
    book = ScalerState(NOW, launch_breaker=LaunchBreaker(failed_boots=1))
    full = replace(LIMITS, max_workers=2)
    assert plan_actions(book, *_old("a", "b"), KEEP, full, NEW).terminating == []
    steps = plan_actions(book, *_old("a", "b", busy=False), KEEP, LIMITS, NEW)
    assert (steps.launch, steps.terminating) == (0, [])
    assert plan_actions(book, *_old("a", "b"), KEEP, LIMITS, NEW).launch == 1


def test_the_policy_goes_first() -> None:
    fleet = _old("a", "b")
    growing = plan_actions(ScalerState(NOW), *fleet, Decision(3, 0, "LAUNCH 3"), LIMITS, NEW)
    assert (growing.launch, growing.to_be_replaced, growing.reason) == (3, [], "LAUNCH 3")
    paused = plan_actions(ScalerState(NOW, overrides=Overrides(paused=True)), *fleet, KEEP, LIMITS, NEW)
    assert (paused.launch, paused.terminating) == (0, ())


def test_who_is_renewed_goes_in_place_of_another() -> None:
    fleet = _with(_old("a", replacement_token="t"), _old("next", busy=False, version=2, token="t"))
    steps = plan_actions(ScalerState(NOW), *fleet, Decision(0, 1, "DRAIN 1"), LIMITS, NEW)
    assert _ids(steps.terminating) == ["a"]


def test_the_policy_lets_earlier_versions_go_before_others() -> None:
    fleet = _with(_old("new", busy=False, version=2, launched_at=1.0), _old("old", busy=False, launched_at=2.0))
    assert _ids(choose_idle(*fleet, 1, NEW, NOW)) == ["old"]


def test_later_and_unknown_versions_stay() -> None:
    fleet = _with(_old("later", version=3), _old("unknown", version=0), _old("same", version=2))
    assert plan_actions(ScalerState(NOW), *fleet, KEEP, LIMITS, NEW).reason == "KEEP"
    assert plan_actions(ScalerState(NOW), *_old("a"), KEEP, LIMITS, PROFILE).reason == "KEEP"


def test_what_the_fleet_takes_back_is_not_renewed_besides_and_holds_up_nobody() -> None:
    instances, workers = _old("a", replacement_token="t")
    workers["a"] = replace(workers["a"], interruption="rebalance")
    coming: Fleet = ({"next": instance("next", arrived=False, token="t", version=2)}, {})
    steps = plan_actions(ScalerState(NOW), *_with((instances, workers), coming), KEEP, LIMITS, NEW)
    assert (steps.launch, steps.terminating, steps.reason) == (0, [], "KEEP")
    steps = plan_actions(ScalerState(NOW), *_with((instances, workers), coming, _old("b")), KEEP, LIMITS, NEW)
    assert (_ids(steps.to_be_replaced), steps.terminating) == (["b"], [])
