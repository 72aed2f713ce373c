"""Which instances are launched, replaced and scaled in, and what holds a decision back."""

from collections.abc import Mapping
from dataclasses import replace

from jobqueue.workers.registry import WorkerView
from scaler.decide.actions import Actions, plan_actions
from scaler.decide.interruptions import instances_to_replace, replaced_instances, unneeded_instances
from scaler.decide.scale_in import choose_idle, choose_over_maximum
from scaler.decide.successors import Successors
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.policy import Decision, Limits
from scaler.state.launch_breaker import FAILED_BOOTS_TO_OPEN, LaunchBreaker
from scaler.state.operator_overrides import Overrides
from scaler.state.store import ScalerState
from tests.unit.scaler.factories import NOW, PROFILE, busy, by_id, by_instance, instance, worker

LIMITS = Limits(min_workers=0, max_workers=5)
KEEP = Decision(launch=0, drain=0, reason="KEEP 1")
LAUNCH_3 = Decision(launch=3, drain=0, reason="LAUNCH 3")


def _plan(
    instances: Mapping[str, Instance],
    workers: Mapping[str, WorkerView],
    decision: Decision = KEEP,
    *,
    limits: Limits = LIMITS,
    state: ScalerState | None = None,
) -> Actions:
    return plan_actions(state or ScalerState(NOW), instances, workers, decision, limits, PROFILE)


def _ids(instances: list[Instance]) -> list[str]:
    return [each.id for each in instances]


def test_only_idle_workers_are_scaled_in_the_oldest_first() -> None:
    instances = by_id(
        instance("young", 500.0), instance("old", 100.0), instance("busy"), instance("booting", arrived=False)
    )
    workers = by_instance(worker("young"), worker("old"), busy("busy"))
    assert _ids(choose_idle(instances, workers, 1, PROFILE, 0.0, NOW)) == ["old"]
    assert _ids(choose_idle(instances, workers, 9, PROFILE, 0.0, NOW)) == ["old", "young"]


def test_no_instance_is_scaled_in_within_its_minimum_billing_time() -> None:
    billed_until_now = NOW - PROFILE.min_billed_seconds
    instances = by_id(instance("a", billed_until_now + 1), instance("b", billed_until_now))
    assert _ids(choose_idle(instances, by_instance(worker("a"), worker("b")), 2, PROFILE, 0.0, NOW)) == ["b"]


def test_a_replacement_stays_for_the_jobs_that_its_predecessor_releases() -> None:
    instances = by_id(instance("interrupted", replacement_token="t"), instance("replacement", token="t"))
    running = worker("interrupted", "draining", running=1, interruption="spot")
    assert choose_idle(instances, by_instance(running, worker("replacement")), 1, PROFILE, 0.0, NOW) == []
    empty = worker("interrupted", "draining", interruption="spot")
    chosen = choose_idle(instances, by_instance(empty, worker("replacement")), 1, PROFILE, 0.0, NOW)
    assert _ids(chosen) == ["replacement"]


def test_workers_that_are_already_draining_are_not_scaled_in_again() -> None:
    instances = by_id(instance("terminating", terminating_at=900.0), instance("draining"), instance("interrupted"))
    workers = by_instance(
        worker("terminating"), worker("draining", "draining"), worker("interrupted", interruption="spot")
    )
    assert choose_idle(instances, workers, 3, PROFILE, 0.0, NOW) == []


def test_interrupted_workers_are_scaled_in_first_and_the_on_demand_base_last() -> None:
    instances = by_id(
        instance("base", 1.0, market="on-demand"),
        instance("spot", 2.0, market="spot"),
        instance("interrupted", 3.0, market="spot"),
    )
    workers = by_instance(worker("base"), worker("spot"), worker("interrupted", interruption="rebalance"))
    profile = replace(PROFILE, on_demand_base=1)
    assert _ids(choose_idle(instances, workers, 3, profile, 0.0, NOW)) == ["interrupted", "spot", "base"]


def test_no_worker_is_scaled_in_within_its_minimum_age() -> None:
    instances = by_id(instance("young", NOW - 59.0), instance("old", NOW - 60.0))
    workers = by_instance(worker("young"), worker("old"))
    assert _ids(choose_idle(instances, workers, 2, PROFILE, 10.0, NOW)) == ["old"]
    recommended = {id_: replace(each, interruption="rebalance") for id_, each in workers.items()}
    assert _ids(unneeded_instances(instances, recommended, 10.0, NOW)) == ["old"]


def test_workers_above_the_maximum_go_at_any_age_the_idle_ones_first() -> None:
    instances = by_id(
        instance("a", 1.0), instance("idle", NOW - 1), instance("b", 2.0), instance("booting", arrived=False)
    )
    workers = by_instance(busy("a"), busy("b"), worker("idle"))
    assert _ids(choose_over_maximum(instances, workers, 2, PROFILE)) == ["idle", "a"]
    decision = Decision(launch=0, drain=2, reason="DRAIN 2", is_over_maximum=True, min_age_seconds=10.0)
    actions = _plan(instances, workers, decision)
    assert [(each.id, each.reason) for each in actions.terminating] == [("idle", "maximum"), ("a", "maximum")]
    assert actions.scaling_in == []


def test_workers_that_are_not_needed_go_only_once_it_is_confirmed_that_no_job_waits() -> None:
    instances = by_id(instance("a"), instance("b"), instance("c"))
    workers = by_instance(worker("a"), worker("b", interruption="rebalance"), busy("c"))
    actions = _plan(instances, workers, Decision(launch=0, drain=2, reason="DRAIN 2"))
    assert actions.terminating == []
    assert [(each.id, each.reason) for each in actions.scaling_in] == [("b", "rebalance"), ("a", "idle")]
    confirmed = actions.confirmed(actions.scaling_in[:1])
    assert (_ids(list(confirmed.terminating)), confirmed.scaling_in) == (["b"], ())
    assert confirmed.reason == "KEEP 1, because a job has come that they could run; DRAIN 2"
    assert actions.confirmed(actions.scaling_in).reason == "DRAIN 2"


def test_an_interrupted_worker_is_replaced_once_if_it_is_needed() -> None:
    instances = by_id(
        instance("busy"),
        instance("idle"),
        instance("replaced", replacement_token="t"),
        instance("replacement-ended", replacement_token="gone"),
        instance("uninterrupted"),
        instance("gone"),
    )
    workers = by_instance(
        busy("busy", interruption="spot"),
        worker("idle", interruption="spot"),
        busy("replaced", interruption="spot"),
        busy("replacement-ended", interruption="spot"),
        busy("uninterrupted"),
    )
    successors = Successors(serving={}, awaited={"t": 1})
    assert _ids(instances_to_replace(instances, workers, successors, keep_idle=False)) == ["busy", "replacement-ended"]
    needed = instances_to_replace(instances, workers, successors, keep_idle=True)
    assert _ids(needed) == ["busy", "idle", "replacement-ended"]


def test_a_rebalanced_worker_goes_when_idle_or_when_its_replacement_serves() -> None:
    instances = by_id(
        instance("idle"),
        instance("busy"),
        instance("replacement-pending", replacement_token="t-1"),
        instance("replacement-booting", replacement_token="t-2"),
        instance("replacement-serving", replacement_token="t-3"),
        instance("replacement-ended", replacement_token="t-4"),
        instance("booting", arrived=False, token="t-2"),
        instance("serving", token="t-3"),
    )
    names = [name for name in instances if name.startswith(("busy", "replacement"))]
    workers = by_instance(
        worker("idle", interruption="rebalance"),
        worker("serving"),
        *(busy(name, interruption="rebalance") for name in names),
    )
    state = ScalerState(NOW, [Intent("t-1", NOW, 1, LaunchRequest(count=1))])
    successors = Successors.of(state, instances, workers)
    assert _ids(replaced_instances(instances, workers, successors)) == ["replacement-serving"]
    assert _ids(unneeded_instances(instances, workers, 0.0, NOW)) == ["idle"]


def test_of_workers_with_one_replacing_launch_as_many_go_as_replacements_serve() -> None:
    """The instances of a launch do not boot at the same moment."""
    old = [instance(f"old-{number}", replacement_token="t") for number in range(3)]
    new = [instance(f"new-{number}", arrived=number < 1, token="t") for number in range(3)]
    workers = by_instance(worker("new-0"), *(busy(each.id, interruption="rebalance") for each in old))
    successors = Successors.of(ScalerState(NOW), by_id(*old, *new), workers)
    assert _ids(replaced_instances(by_id(*old), workers, successors)) == ["old-0"]
    assert replaced_instances(by_id(*old[1:]), workers, successors) == []


def test_an_idle_rebalanced_worker_is_replaced_first_if_the_minimum_needs_it() -> None:
    instances, workers = by_id(instance("a")), by_instance(worker("a", interruption="rebalance"))
    needed = _plan(instances, workers, limits=replace(LIMITS, min_workers=1))
    assert (needed.launch, needed.terminating) == (1, [])
    unneeded = _plan(instances, workers)
    assert (unneeded.launch, [each.reason for each in unneeded.scaling_in]) == (0, ["rebalance"])


def test_a_replacement_is_launched_even_if_the_policy_launches_nothing() -> None:
    instances, workers = by_id(instance("a")), by_instance(busy("a", interruption="spot"))
    actions = _plan(instances, workers)
    assert (actions.launch, [each.id for each in actions.to_be_replaced]) == (1, ["a"])
    assert actions.reason == "LAUNCH 1: 1 needed workers are being reclaimed; KEEP 1"
    assert _plan(instances, workers, limits=replace(LIMITS, max_workers=1)).launch == 0


def test_terminating_instances_and_pending_launches_count_against_the_limit() -> None:
    state = ScalerState(NOW, [Intent("t", NOW, 1, LaunchRequest(count=2))])
    instances = by_id(instance("a", terminating_at=1.0), instance("b"))
    actions = _plan(instances, {}, Decision(launch=9, drain=0, reason="LAUNCH 9"), state=state)
    assert actions.launch == LIMITS.max_workers - 4


def test_the_launch_breaker_holds_launches_back_and_the_reason_says_why() -> None:
    backoff = LaunchBreaker(not_before=NOW + 1, last_failure="RequestLimitExceeded")
    held_back = _plan({}, {}, LAUNCH_3, state=ScalerState(NOW, launch_breaker=backoff))
    assert (held_back.launch, held_back.reason) == (0, "HELD BACK to 0: RequestLimitExceeded; LAUNCH 3")
    probing = LaunchBreaker(failed_boots=FAILED_BOOTS_TO_OPEN)
    assert _plan({}, {}, LAUNCH_3, state=ScalerState(NOW, launch_breaker=probing)).launch == 1


def test_a_paused_scaler_does_nothing() -> None:
    instances = by_id(instance("a"), instance("b"))
    workers = by_instance(worker("a"), worker("b", interruption="rebalance"))
    state = ScalerState(NOW, overrides=Overrides(paused=True))
    actions = _plan(instances, workers, Decision(launch=1, drain=1, reason="DRAIN 1"), state=state)
    assert (actions.launch, actions.terminating) == (0, ())
    assert actions.reason == "PAUSED: nothing is launched or drained; without the pause DRAIN 1"
