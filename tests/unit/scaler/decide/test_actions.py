"""Which instances are launched, replaced and scaled in, and what holds a decision back."""

from collections.abc import Mapping
from dataclasses import replace

from jobqueue.workers.registry import WorkerView
from scaler.decide.actions import Actions, choose_idle, instances_to_replace, instances_to_scale_in, plan_actions
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
    assert _ids(choose_idle(instances, workers, 1, PROFILE, NOW)) == ["old"]
    assert _ids(choose_idle(instances, workers, 9, PROFILE, NOW)) == ["old", "young"]


def test_no_instance_is_scaled_in_within_its_minimum_billing_time() -> None:
    billed_until_now = NOW - PROFILE.min_billed_seconds
    instances = by_id(instance("a", billed_until_now + 1), instance("b", billed_until_now))
    assert _ids(choose_idle(instances, by_instance(worker("a"), worker("b")), 2, PROFILE, NOW)) == ["b"]


def test_a_replacement_stays_for_the_jobs_that_its_predecessor_releases() -> None:
    instances = by_id(instance("interrupted", replacement_token="t"), instance("replacement", token="t"))
    running = worker("interrupted", "draining", running=1, interruption="spot")
    assert choose_idle(instances, by_instance(running, worker("replacement")), 1, PROFILE, NOW) == []
    empty = worker("interrupted", "draining", interruption="spot")
    chosen = choose_idle(instances, by_instance(empty, worker("replacement")), 1, PROFILE, NOW)
    assert _ids(chosen) == ["replacement"]


def test_workers_that_are_already_draining_are_not_scaled_in_again() -> None:
    instances = by_id(instance("terminating", terminating_at=900.0), instance("draining"), instance("interrupted"))
    workers = by_instance(
        worker("terminating"), worker("draining", "draining"), worker("interrupted", interruption="spot")
    )
    assert choose_idle(instances, workers, 3, PROFILE, NOW) == []


def test_interrupted_workers_are_scaled_in_first_and_the_on_demand_base_last() -> None:
    instances = by_id(
        instance("base", 1.0, market="on-demand"),
        instance("spot", 2.0, market="spot"),
        instance("interrupted", 3.0, market="spot"),
    )
    workers = by_instance(worker("base"), worker("spot"), worker("interrupted", interruption="rebalance"))
    profile = replace(PROFILE, on_demand_base=1)
    assert _ids(choose_idle(instances, workers, 3, profile, NOW)) == ["interrupted", "spot", "base"]


def test_an_interrupted_worker_is_replaced_once_if_it_is_needed() -> None:
    instances = by_id(
        instance("busy"),
        instance("idle"),
        instance("replaced", replacement_token="t"),
        instance("uninterrupted"),
        instance("gone"),
    )
    workers = by_instance(
        busy("busy", interruption="spot"),
        worker("idle", interruption="spot"),
        busy("replaced", interruption="spot"),
        busy("uninterrupted"),
    )
    assert _ids(instances_to_replace(instances, workers, keep_idle=False)) == ["busy"]
    assert _ids(instances_to_replace(instances, workers, keep_idle=True)) == ["busy", "idle"]


def test_a_rebalanced_worker_goes_when_idle_or_when_its_replacement_serves() -> None:
    instances = by_id(
        instance("idle"),
        instance("busy"),
        instance("replacement-pending", replacement_token="t-1"),
        instance("replacement-booting", replacement_token="t-2"),
        instance("replacement-serving", replacement_token="t-3"),
        instance("booting", arrived=False, token="t-2"),
        instance("serving", token="t-3"),
    )
    names = ("busy", "replacement-pending", "replacement-booting", "replacement-serving")
    workers = by_instance(
        worker("idle", interruption="rebalance"),
        worker("serving"),
        *(busy(name, interruption="rebalance") for name in names),
    )
    assert _ids(instances_to_scale_in(instances, workers, {"t-1"}, keep_idle=False)) == ["idle", "replacement-serving"]
    assert _ids(instances_to_scale_in(instances, workers, {"t-1"}, keep_idle=True)) == ["replacement-serving"]


def test_an_idle_rebalanced_worker_is_replaced_first_if_the_minimum_needs_it() -> None:
    instances, workers = by_id(instance("a")), by_instance(worker("a", interruption="rebalance"))
    needed = _plan(instances, workers, limits=replace(LIMITS, min_workers=1))
    assert (needed.launch, needed.terminating) == (1, [])
    unneeded = _plan(instances, workers)
    assert (unneeded.launch, [each.reason for each in unneeded.terminating]) == (0, ["rebalance"])


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
