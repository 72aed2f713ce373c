"""What has become of an instance, by its worker, by the fleet, and by how long that is so."""

from dataclasses import replace

import pytest

from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from scaler.observe.instance_phases import (
    FENCE_SECONDS,
    LOST_SECONDS,
    SILENT_SECONDS,
    UNDESCRIBED_SECONDS,
    Classification,
    FleetSnapshot,
    InstancePhase,
    classify,
    is_alive,
    phase_of,
)
from scaler.state.store import ScalerState
from tests.unit.scaler.factories import NOW, PROFILE, instance, worker


def _review(each: Instance | None, seen: FleetSnapshot, *intents: Intent) -> Classification:
    return classify(ScalerState(NOW, intents, {each.id: each} if each else {}), seen, PROFILE)


def _one(each: Instance, seen: FleetSnapshot) -> Instance:
    return _review(each, seen).instances[each.id]


HEARD = FleetSnapshot({"a": worker("a")})
UNHEARD = FleetSnapshot({})
SHOWN = {"a": DescribedInstance("a", 0.0)}


@pytest.mark.parametrize(
    ("each", "heard", "phase"),
    [
        (instance("a", arrived=False), None, InstancePhase.BOOTING),
        (instance("a"), worker("a"), InstancePhase.IDLE),
        (instance("a"), worker("a", "busy", running=1), InstancePhase.BUSY),
        (instance("a"), worker("a", "draining", running=1), InstancePhase.DRAINING),
        (instance("a"), worker("a", "busy", running=1, interruption="spot"), InstancePhase.DRAINING),
        (instance("a"), worker("a", "busy", running=1, interruption="rebalance"), InstancePhase.BUSY),
        (instance("a", terminating_at=1.0), worker("a"), InstancePhase.DRAINING),
        (instance("a", terminating_at=1.0), None, InstancePhase.ENDING),
        (instance("a"), None, InstancePhase.LOST),
    ],
)
def test_phases(each: Instance, heard: WorkerView | None, phase: InstancePhase) -> None:
    assert phase_of(each, heard) is phase


def test_a_worker_is_heard_of_until_it_has_been_silent_for_long() -> None:
    assert is_alive(replace(worker("a"), seconds_since_heartbeat=SILENT_SECONDS - 1))
    assert not is_alive(replace(worker("a"), seconds_since_heartbeat=SILENT_SECONDS))


def test_a_boot_is_measured_once() -> None:
    booting = instance("a", NOW - 70.0, arrived=False)
    seen = _review(booting, HEARD)
    assert seen.boot_durations == [70.0]
    assert seen.instances["a"].arrived_at == NOW
    assert _review(seen.instances["a"], HEARD).boot_durations == []


def test_nothing_is_written_where_nothing_has_changed() -> None:
    assert _review(instance("a"), HEARD).changed == []


def test_a_boot_beyond_its_limit_has_failed() -> None:
    late, waiting = (instance("a", NOW - seconds, arrived=False) for seconds in (301.0, 299.0))
    seen = _review(late, UNHEARD)
    assert (seen.failed_boots, seen.instances["a"].terminating_at) == (["a"], NOW)
    assert [each.reason for each in seen.newly_terminating] == ["never_registered"]
    assert _review(waiting, UNHEARD).failed_boots == []
    assert _review(late, HEARD).failed_boots == []


def test_an_instance_that_ended_by_itself_is_gone_and_a_boot_of_it_has_failed() -> None:
    ended = FleetSnapshot({}, described={"a": DescribedInstance("a", 0.0, ended=True)})
    assert (_review(instance("a"), ended).terminated, _review(instance("a"), ended).failed_boots) == (["a"], [])
    assert _review(instance("a", NOW, arrived=False), ended).failed_boots == ["a"]
    taken = FleetSnapshot({}, described={"a": DescribedInstance("a", 0.0, ended=True, interrupted=True)})
    assert _review(instance("a", NOW, arrived=False), taken).failed_boots == []


def test_a_silent_worker_is_lost_first_and_dead_later() -> None:
    lost = _one(instance("a"), UNHEARD)
    assert (lost.lost_at, lost.terminating_at) == (NOW, None)
    assert _one(lost, HEARD).lost_at is None
    dead = _one(instance("a", lost_at=NOW - LOST_SECONDS), UNHEARD)
    assert (dead.reason, dead.drained_at) == ("worker_silent", None)


def test_a_worker_that_left_in_order_leaves_an_empty_instance() -> None:
    left = _one(instance("a"), FleetSnapshot({}, exited_cleanly={"a"}))
    assert (left.reason, left.terminating_at, left.drained_at) == ("worker_exited", NOW, NOW)
    assert (
        _one(instance("a", terminating_at=5.0, reason="idle"), FleetSnapshot({}, exited_cleanly={"a"})).drained_at
        == NOW
    )


def test_as_long_as_its_worker_is_heard_an_instance_is_not_empty() -> None:
    closing = instance("a", terminating_at=5.0, fenced_at=5.0, reason="idle")
    assert _one(closing, HEARD).drained_at is None
    assert _one(closing, FleetSnapshot({"a": worker("a")}, exited_cleanly={"a"})).drained_at is None


def test_a_closed_one_that_fell_silent_is_empty_when_its_leases_have_run_out() -> None:
    closing = instance("a", terminating_at=5.0, fenced_at=5.0, lost_at=NOW - LOST_SECONDS + 1)
    assert _one(closing, UNHEARD).drained_at is None
    assert _one(instance("a", terminating_at=5.0, fenced_at=5.0, lost_at=NOW - LOST_SECONDS), UNHEARD).drained_at == NOW


def test_one_that_never_came_is_empty_a_pass_after_it_was_cut_off() -> None:
    def closed(fenced_at: float | None) -> Instance:
        return _one(instance("a", arrived=False, terminating_at=5.0, fenced_at=fenced_at), UNHEARD)

    assert closed(None).drained_at is None
    assert closed(NOW - FENCE_SECONDS + 1).drained_at is None
    assert closed(NOW - FENCE_SECONDS).drained_at == NOW


def test_one_that_is_not_shown_is_missing_and_taken_for_gone_only_when_its_worker_is_too() -> None:
    not_shown = FleetSnapshot({}, described={})
    assert _one(instance("a"), not_shown).undescribed_at == NOW
    assert _one(instance("a", undescribed_at=5.0), FleetSnapshot({}, described=SHOWN)).undescribed_at is None
    assert _one(instance("a", undescribed_at=NOW - UNDESCRIBED_SECONDS), not_shown).reason == "vanished"
    assert (
        _one(instance("a", undescribed_at=5.0), FleetSnapshot({"a": worker("a")}, described={})).terminating_at is None
    )
    assert _one(instance("a"), UNHEARD).undescribed_at is None


def test_one_that_stands_still_is_ended() -> None:
    stopped = _one(instance("a"), FleetSnapshot({}, described={"a": DescribedInstance("a", 0.0, stopped=True)}))
    assert (stopped.reason, stopped.drained_at) == ("stopped", NOW)


def test_strangers_are_closed_at_first_sight_unless_their_worker_works() -> None:
    stranger = _review(None, FleetSnapshot({}, described=SHOWN))
    assert [(each.id, each.reason) for each in stranger.newly_terminating] == [("a", "unknown_instance")]
    assert stranger.instances["a"].drained_at is None
    known = _review(None, FleetSnapshot({"a": worker("a")}, described=SHOWN))
    assert known.newly_terminating == []
    assert known.instances["a"].arrived_at == NOW
    assert known.boot_durations == []
    unseen = _review(None, FleetSnapshot({"a": worker("a")}))
    assert [each.id for each in unseen.changed] == ["a"]


def test_what_an_open_launch_brought_is_no_stranger_nor_what_has_just_gone() -> None:
    shown = {"a": DescribedInstance("a", 0.0, "t")}
    assert _review(None, FleetSnapshot({}, described=shown), Intent("t", 0.0, 1, LaunchRequest(1))).instances == {}
    assert _review(None, FleetSnapshot({}, described=shown, recently_terminated={"a"})).instances == {}
    assert _review(None, FleetSnapshot({"a": worker("a")}, recently_terminated={"a"})).instances == {}
