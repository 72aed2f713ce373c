"""Which instances a decision is about, and what stands against it."""

from dataclasses import replace

from jobqueue.workers.registry import WorkerView
from scaler.decide.actions import choose_idle, instances_to_replace, instances_to_scale_in, plan_actions
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.policy import Decision, Limits
from scaler.state.launch_breaker import FAILED_BOOTS_TO_OPEN, LaunchBreaker
from scaler.state.operator_overrides import Overrides
from scaler.state.store import ScalerState
from tests.unit.scaler.factories import NOW, PROFILE, instance, worker

LIMITS = Limits(min_workers=0, max_workers=5)


def _by_id(*found: Instance) -> dict[str, Instance]:
    return {each.id: each for each in found}


def _heard(*found: WorkerView) -> dict[str, WorkerView]:
    return {each.instance_id: each for each in found}


def _ids(found: list[Instance]) -> list[str]:
    return [each.id for each in found]


def test_only_idle_ones_are_let_go_the_longest_lived_first() -> None:
    instances = _by_id(
        instance("young", 500.0), instance("old", 100.0), instance("busy"), instance("boots", arrived=False)
    )
    workers = _heard(worker("young"), worker("old"), worker("busy", "busy", running=1))
    assert _ids(choose_idle(instances, workers, 1, PROFILE, NOW)) == ["old"]
    assert _ids(choose_idle(instances, workers, 9, PROFILE, NOW)) == ["old", "young"]


def test_none_is_let_go_within_its_paid_minute() -> None:
    instances = _by_id(instance("a", NOW - 59.0), instance("b", NOW - 60.0))
    assert _ids(choose_idle(instances, _heard(worker("a"), worker("b")), 2, PROFILE, NOW)) == ["b"]


def test_a_successor_waits_for_the_jobs_that_its_predecessor_gives_back() -> None:
    heir = replace(instance("heir"), token="t")
    instances = _by_id(replace(instance("taken"), replacement_token="t"), heir)
    taken = worker("taken", "draining", running=1, interruption="spot")
    assert choose_idle(instances, _heard(taken, worker("heir")), 1, PROFILE, NOW) == []
    ended = worker("taken", "draining", interruption="spot")
    assert _ids(choose_idle(instances, _heard(ended, worker("heir")), 1, PROFILE, NOW)) == ["heir"]


def test_those_already_on_their_way_are_not_let_go_again() -> None:
    instances = _by_id(instance("closing", terminating_at=900.0), instance("drains"), instance("taken"))
    workers = _heard(worker("closing"), worker("drains", "draining"), worker("taken", interruption="spot"))
    assert choose_idle(instances, workers, 3, PROFILE, NOW) == []


def test_the_base_on_demand_goes_last_and_what_the_fleet_wants_back_first() -> None:
    instances = _by_id(
        instance("base", 1.0, market="on-demand"),
        instance("spot", 2.0, market="spot"),
        instance("wanted", 3.0, market="spot"),
    )
    workers = _heard(worker("base"), worker("spot"), worker("wanted", interruption="rebalance"))
    profile = replace(PROFILE, on_demand_base=1)
    assert _ids(choose_idle(instances, workers, 3, profile, NOW)) == ["wanted", "spot", "base"]


def test_what_is_taken_back_is_replaced_once_if_it_is_needed() -> None:
    instances = _by_id(
        instance("busy"),
        instance("idle"),
        instance("replacement_token", replacement_token="t"),
        instance("stays"),
        instance("gone"),
    )
    workers = _heard(
        worker("busy", "busy", running=1, interruption="spot"),
        worker("idle", interruption="spot"),
        worker("replacement_token", "busy", running=1, interruption="spot"),
        worker("stays", "busy", running=1),
    )
    assert _ids(instances_to_replace(instances, workers, keep_idle=False)) == ["busy"]
    assert _ids(instances_to_replace(instances, workers, keep_idle=True)) == ["busy", "idle"]


def test_what_may_be_taken_back_retires_when_idle_or_succeeded() -> None:
    instances = _by_id(
        instance("idle"),
        instance("busy"),
        instance("intended", replacement_token="t-1"),
        instance("booting", replacement_token="t-2"),
        instance("come", replacement_token="t-3"),
        instance("next-2", arrived=False, token="t-2"),
        instance("next-3", token="t-3"),
    )
    names = ("busy", "intended", "booting", "come")
    workers = _heard(
        worker("idle", interruption="rebalance"),
        worker("next-3"),
        *(worker(name, "busy", running=1, interruption="rebalance") for name in names),
    )
    assert _ids(instances_to_scale_in(instances, workers, {"t-1"}, keep_idle=False)) == ["idle", "come"]
    assert _ids(instances_to_scale_in(instances, workers, {"t-1"}, keep_idle=True)) == ["come"]


def test_of_the_fewest_workers_an_idle_one_is_replaced_before_it_retires() -> None:
    instances, workers = _by_id(instance("a")), _heard(worker("a", interruption="rebalance"))
    least = replace(LIMITS, min_workers=1)
    steps = plan_actions(ScalerState(NOW), instances, workers, Decision(0, 0, "KEEP 1"), least, PROFILE)
    assert (steps.launch, steps.terminating) == (1, [])
    steps = plan_actions(ScalerState(NOW), instances, workers, Decision(0, 0, "KEEP 1"), LIMITS, PROFILE)
    assert (steps.launch, [each.reason for each in steps.terminating]) == (0, ["rebalance"])


def test_a_replacement_is_launched_although_the_policy_sees_no_need() -> None:
    instances = _by_id(instance("a"))
    workers = _heard(worker("a", "busy", running=1, interruption="spot"))
    steps = plan_actions(ScalerState(NOW), instances, workers, Decision(0, 0, "KEEP 1"), LIMITS, PROFILE)
    assert (steps.launch, [each.id for each in steps.to_be_replaced]) == (1, ["a"])
    assert steps.reason == "LAUNCH 1: 1 needed workers are being reclaimed; KEEP 1"
    full = replace(LIMITS, max_workers=1)
    assert plan_actions(ScalerState(NOW), instances, workers, Decision(0, 0, "KEEP 1"), full, PROFILE).launch == 0


def test_all_that_may_live_counts_against_the_limit() -> None:
    book = ScalerState(NOW, [Intent("t", NOW, 1, LaunchRequest(2))])
    instances = _by_id(instance("a", terminating_at=1.0), instance("b"))
    steps = plan_actions(book, instances, {}, Decision(9, 0, "LAUNCH 9"), LIMITS, PROFILE)
    assert steps.launch == 1


def test_caution_holds_launches_back_and_says_why() -> None:
    book = ScalerState(NOW, launch_breaker=LaunchBreaker(not_before=NOW + 1, last_failure="RequestLimitExceeded"))
    steps = plan_actions(book, {}, {}, Decision(3, 0, "LAUNCH 3"), LIMITS, PROFILE)
    assert (steps.launch, steps.reason) == (0, "HELD BACK to 0: RequestLimitExceeded; LAUNCH 3")
    book = ScalerState(NOW, launch_breaker=LaunchBreaker(failed_boots=FAILED_BOOTS_TO_OPEN))
    assert plan_actions(book, {}, {}, Decision(3, 0, "LAUNCH 3"), LIMITS, PROFILE).launch == 1


def test_paused_nothing_is_done() -> None:
    instances = _by_id(instance("a"), instance("b"))
    workers = _heard(worker("a"), worker("b", interruption="rebalance"))
    book = ScalerState(NOW, overrides=Overrides(paused=True))
    steps = plan_actions(book, instances, workers, Decision(1, 1, "DRAIN 1"), LIMITS, PROFILE)
    assert (steps.launch, steps.terminating, steps.reason) == (0, (), "PAUSED; DRAIN 1")
