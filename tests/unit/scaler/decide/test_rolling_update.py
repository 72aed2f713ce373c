"""Rolling updates: which workers of an earlier version are replaced, which go, and how many at a time."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from jobqueue.workers.registry import WorkerView
from scaler.decide.actions import Actions, plan_actions
from scaler.decide.rolling_update import OUTDATED
from scaler.decide.scale_in import choose_idle
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.policy import Decision, Limits
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.operator_overrides import Overrides
from scaler.state.store import ScalerState
from tests.unit.scaler.factories import NOW, PROFILE, by_instance, instance, worker

OLD_VERSION, CURRENT_VERSION = 1, 2
PROFILE_WITH_VERSIONS = replace(PROFILE, version=CURRENT_VERSION)
STATE = ScalerState(NOW)
KEEP = Decision(launch=0, drain=0, reason="KEEP")
LIMITS = Limits(min_workers=0, max_workers=20)

Fleet = tuple[dict[str, Instance], dict[str, WorkerView]]


def _serving(*ids: str, busy: bool = True, version: int = OLD_VERSION, **fields: Any) -> Fleet:
    """Make instances whose workers serve."""
    instances = {id_: instance(id_, version=version, **fields) for id_ in ids}
    state = "busy" if busy else "idle"
    return instances, by_instance(*(worker(id_, state, running=int(busy)) for id_ in ids))


def _booting(id_: str, token: str) -> Fleet:
    return {id_: instance(id_, arrived=False, token=token, version=CURRENT_VERSION)}, {}


def _together(*fleets: Fleet) -> Fleet:
    return {k: v for each in fleets for k, v in each[0].items()}, {k: v for each in fleets for k, v in each[1].items()}


def _plan(fleet: Fleet, decision: Decision = KEEP, *, limits: Limits = LIMITS, state: ScalerState = STATE) -> Actions:
    return plan_actions(state, *fleet, decision, limits, PROFILE_WITH_VERSIONS)


def _ids(instances: Iterable[Instance]) -> list[str]:
    return [each.id for each in instances]


def test_a_quarter_of_the_workers_is_replaced_at_a_time_the_oldest_first() -> None:
    fleet = _together(*(_serving(f"i-{number}", launched_at=float(number)) for number in range(8)))
    actions = _plan(fleet)
    assert (actions.launch, _ids(actions.to_be_replaced), actions.terminating) == (2, ["i-0", "i-1"], [])
    assert actions.reason == "UPDATE: drain 0, replace 2 of 8 outdated workers; KEEP"


def test_the_next_workers_wait_until_the_replacements_serve() -> None:
    replaced, others = _serving("replaced", replacement_token="t"), _serving("b", "c", "d")
    pending = ScalerState(NOW, [Intent("t", NOW, 1, LaunchRequest(count=1))])
    for actions in (
        _plan(_together(replaced, others, _booting("new", token="t"))),
        _plan(_together(replaced, others), state=pending),
    ):
        assert (actions.launch, actions.terminating, actions.reason) == (0, [], "KEEP")
    replacement = _serving("new", busy=False, version=CURRENT_VERSION, token="t")
    actions = _plan(_together(replaced, others, replacement))
    assert [(each.id, each.reason) for each in actions.terminating] == [("replaced", OUTDATED)]
    assert _ids(actions.to_be_replaced) == ["b"]


def test_a_replacement_that_never_came_is_launched_again() -> None:
    actions = _plan(_serving("a", replacement_token="gone"))
    assert (_ids(actions.to_be_replaced), actions.terminating) == (["a"], [])


def test_idle_workers_that_are_not_needed_go_without_a_replacement() -> None:
    fleet = _serving("a", "b", "c", "d", busy=False)
    unneeded = _plan(fleet)
    assert (unneeded.launch, unneeded.terminating, _ids(unneeded.scaling_in)) == (0, [], ["a"])
    young = replace(KEEP, min_age_seconds=NOW)
    assert (_plan(fleet, young).launch, _plan(fleet, young).scaling_in) == (0, [])
    needed = _plan(fleet, limits=replace(LIMITS, min_workers=4))
    assert (_ids(needed.to_be_replaced), needed.terminating) == (["a"], [])
    queued = _plan(fleet, replace(KEEP, numbers={"queued": 1.0}))
    assert (queued.terminating, queued.scaling_in) == ([], [])


def test_as_many_old_workers_go_as_replacements_serve() -> None:
    """The instances of a launch do not boot at the same moment."""
    old = _serving(*(f"old-{number}" for number in range(3)), replacement_token="t")
    new = _serving("new-0", busy=False, version=CURRENT_VERSION, token="t")
    booting = _together(*(_booting(f"new-{number}", token="t") for number in (1, 2)))
    assert _ids(_plan(_together(old, new, booting)).terminating) == ["old-0"]
    remaining = _serving("old-1", "old-2", replacement_token="t")
    assert _plan(_together(remaining, new, booting)).terminating == []


def test_without_headroom_one_worker_goes_first_and_the_next_once_it_is_gone() -> None:
    full = replace(LIMITS, max_workers=4)
    fleet = _serving("a", "b", "c", "d")
    actions = _plan(fleet, limits=full)
    assert (actions.launch, _ids(actions.terminating)) == (0, ["a"])
    going = _serving("a", terminating_at=NOW, reason=OUTDATED)
    assert _plan(_together(fleet, going), limits=full).terminating == []
    replaced = _serving("a", terminating_at=NOW, reason=OUTDATED, replacement_token="t")
    assert _ids(_plan(_together(fleet, replaced), limits=full).terminating) == ["b"]


def test_a_version_whose_workers_never_register_ends_no_worker() -> None:
    failing = ScalerState(NOW, launch_breaker=LaunchBreaker(failed_boots=1))
    assert _plan(_serving("a", "b"), limits=replace(LIMITS, max_workers=2), state=failing).terminating == []
    idle = _plan(_serving("a", "b", busy=False), state=failing)
    assert (idle.launch, idle.terminating, idle.scaling_in) == (0, [], [])
    assert _plan(_serving("a", "b"), state=failing).launch == 1


def test_the_policy_s_launches_and_the_pause_come_before_the_update() -> None:
    fleet = _serving("a", "b")
    growing = _plan(fleet, Decision(launch=3, drain=0, reason="LAUNCH 3"))
    assert (growing.launch, growing.to_be_replaced, growing.reason) == (3, [], "LAUNCH 3")
    paused = _plan(fleet, state=ScalerState(NOW, overrides=Overrides(paused=True)))
    assert (paused.launch, paused.terminating) == (0, ())


def test_a_replaced_worker_counts_as_one_of_those_that_the_policy_drains() -> None:
    replacement = _serving("new", busy=False, version=CURRENT_VERSION, token="t")
    fleet = _together(_serving("a", replacement_token="t"), replacement)
    assert _ids(_plan(fleet, Decision(launch=0, drain=1, reason="DRAIN 1")).terminating) == ["a"]


def test_the_policy_drains_earlier_versions_before_others() -> None:
    new = _serving("new", busy=False, version=CURRENT_VERSION, launched_at=1.0)
    old = _serving("old", busy=False, launched_at=2.0)
    assert _ids(choose_idle(*_together(new, old), 1, PROFILE_WITH_VERSIONS, 0.0, NOW)) == ["old"]


def test_workers_of_later_and_of_unknown_versions_stay() -> None:
    later, unknown = _serving("later", version=CURRENT_VERSION + 1), _serving("unknown", version=0)
    current = _serving("current", version=CURRENT_VERSION)
    assert _plan(_together(later, unknown, current)).reason == "KEEP"
    assert plan_actions(STATE, *_serving("a"), KEEP, LIMITS, PROFILE).reason == "KEEP"


def test_an_interrupted_worker_is_not_replaced_twice_and_holds_up_no_other() -> None:
    instances, workers = _serving("a", replacement_token="t")
    workers["a"] = replace(workers["a"], interruption="rebalance")
    fleet = _together((instances, workers), _booting("new", token="t"))
    actions = _plan(fleet)
    assert (actions.launch, actions.terminating, actions.reason) == (0, [], "KEEP")
    actions = _plan(_together(fleet, _serving("b")))
    assert (_ids(actions.to_be_replaced), actions.terminating) == (["b"], [])
