"""Classification of instances by worker heartbeats, the fleet's descriptions, and how long each has lasted."""

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
from tests.unit.scaler.factories import NOW, PROFILE, busy, instance, worker

ALIVE = FleetSnapshot({"a": worker("a")})
SILENT = FleetSnapshot({})
EXITED_CLEANLY = FleetSnapshot({}, exited_cleanly={"a"})
DESCRIBED = {"a": DescribedInstance("a", 0.0)}
EARLIER = 5.0


def _classify(recorded: Instance | None, snapshot: FleetSnapshot, *intents: Intent) -> Classification:
    return classify(ScalerState(NOW, intents, {recorded.id: recorded} if recorded else {}), snapshot, PROFILE)


def _after(recorded: Instance, snapshot: FleetSnapshot) -> Instance:
    """Return the instance as it is recorded after the snapshot."""
    return _classify(recorded, snapshot).instances[recorded.id]


@pytest.mark.parametrize(
    ("recorded", "live_worker", "phase"),
    [
        (instance("a", arrived=False), None, InstancePhase.BOOTING),
        (instance("a"), worker("a"), InstancePhase.IDLE),
        (instance("a"), busy("a"), InstancePhase.BUSY),
        (instance("a"), worker("a", "draining", running=1), InstancePhase.DRAINING),
        (instance("a"), busy("a", interruption="spot"), InstancePhase.DRAINING),
        (instance("a"), busy("a", interruption="rebalance"), InstancePhase.BUSY),
        (instance("a", terminating_at=EARLIER), worker("a"), InstancePhase.DRAINING),
        (instance("a", terminating_at=EARLIER), None, InstancePhase.ENDING),
        (instance("a"), None, InstancePhase.LOST),
    ],
)
def test_phases(recorded: Instance, live_worker: WorkerView | None, phase: InstancePhase) -> None:
    assert phase_of(recorded, live_worker) is phase


def test_a_worker_is_alive_until_its_last_heartbeat_is_too_old() -> None:
    assert is_alive(replace(worker("a"), seconds_since_heartbeat=SILENT_SECONDS - 1))
    assert not is_alive(replace(worker("a"), seconds_since_heartbeat=SILENT_SECONDS))


def test_a_boot_is_measured_once() -> None:
    booting = instance("a", NOW - 70.0, arrived=False)
    found = _classify(booting, ALIVE)
    assert found.boot_durations == [70.0]
    assert found.instances["a"].arrived_at == NOW
    assert _classify(found.instances["a"], ALIVE).boot_durations == []


def test_an_unchanged_instance_is_not_saved() -> None:
    assert _classify(instance("a"), ALIVE).changed == []


def test_a_boot_beyond_the_timeout_has_failed() -> None:
    timed_out = instance("a", NOW - PROFILE.boot_timeout_seconds - 1, arrived=False)
    booting = instance("a", NOW - PROFILE.boot_timeout_seconds + 1, arrived=False)
    found = _classify(timed_out, SILENT)
    assert (found.failed_boots, found.instances["a"].terminating_at) == (["a"], NOW)
    assert [each.reason for each in found.newly_terminating] == ["never_registered"]
    assert _classify(booting, SILENT).failed_boots == []
    assert _classify(timed_out, ALIVE).failed_boots == []


def test_an_instance_that_ended_by_itself_is_terminated_and_its_boot_has_failed() -> None:
    ended = FleetSnapshot({}, described={"a": DescribedInstance("a", 0.0, ended=True)})
    found = _classify(instance("a"), ended)
    assert (found.terminated, found.failed_boots) == (["a"], [])
    assert _classify(instance("a", NOW, arrived=False), ended).failed_boots == ["a"]
    interrupted = FleetSnapshot({}, described={"a": DescribedInstance("a", 0.0, ended=True, interrupted=True)})
    assert _classify(instance("a", NOW, arrived=False), interrupted).failed_boots == []


def test_a_silent_worker_is_lost_first_and_dead_later() -> None:
    lost = _after(instance("a"), SILENT)
    assert (lost.lost_at, lost.terminating_at) == (NOW, None)
    assert _after(lost, ALIVE).lost_at is None
    dead = _after(instance("a", lost_at=NOW - LOST_SECONDS), SILENT)
    assert (dead.reason, dead.drained_at) == ("worker_silent", None)


def test_a_worker_that_exited_cleanly_leaves_a_drained_instance() -> None:
    exited = _after(instance("a"), EXITED_CLEANLY)
    assert (exited.reason, exited.terminating_at, exited.drained_at) == ("worker_exited", NOW, NOW)
    scaled_in = instance("a", terminating_at=EARLIER, reason="idle")
    assert _after(scaled_in, EXITED_CLEANLY).drained_at == NOW


def test_an_instance_is_not_drained_while_its_worker_is_alive() -> None:
    terminating = instance("a", terminating_at=EARLIER, fenced_at=EARLIER, reason="idle")
    assert _after(terminating, ALIVE).drained_at is None
    assert _after(terminating, FleetSnapshot({"a": worker("a")}, exited_cleanly={"a"})).drained_at is None


def test_a_silent_fenced_worker_is_drained_once_its_job_leases_have_expired() -> None:
    def fenced(lost_at: float) -> Instance:
        return _after(instance("a", terminating_at=EARLIER, fenced_at=EARLIER, lost_at=lost_at), SILENT)

    assert fenced(lost_at=NOW - LOST_SECONDS + 1).drained_at is None
    assert fenced(lost_at=NOW - LOST_SECONDS).drained_at == NOW


def test_an_instance_without_a_worker_is_drained_some_time_after_it_was_fenced() -> None:
    def never_registered(fenced_at: float | None) -> Instance:
        return _after(instance("a", arrived=False, terminating_at=EARLIER, fenced_at=fenced_at), SILENT)

    assert never_registered(fenced_at=None).drained_at is None
    assert never_registered(fenced_at=NOW - FENCE_SECONDS + 1).drained_at is None
    assert never_registered(fenced_at=NOW - FENCE_SECONDS).drained_at == NOW


def test_an_undescribed_instance_has_vanished_only_if_its_worker_is_silent_too() -> None:
    undescribed = FleetSnapshot({}, described={})
    alive_but_undescribed = FleetSnapshot({"a": worker("a")}, described={})
    assert _after(instance("a"), undescribed).undescribed_at == NOW
    assert _after(instance("a", undescribed_at=EARLIER), FleetSnapshot({}, described=DESCRIBED)).undescribed_at is None
    assert _after(instance("a", undescribed_at=NOW - UNDESCRIBED_SECONDS), undescribed).reason == "vanished"
    assert _after(instance("a", undescribed_at=EARLIER), alive_but_undescribed).terminating_at is None
    assert _after(instance("a"), SILENT).undescribed_at is None


def test_a_stopped_instance_terminates() -> None:
    stopped = FleetSnapshot({}, described={"a": DescribedInstance("a", 0.0, stopped=True)})
    after = _after(instance("a"), stopped)
    assert (after.reason, after.drained_at) == ("stopped", NOW)


def test_an_unrecorded_instance_terminates_unless_its_worker_is_alive() -> None:
    without_worker = _classify(None, FleetSnapshot({}, described=DESCRIBED))
    assert [(each.id, each.reason) for each in without_worker.newly_terminating] == [("a", "unknown_instance")]
    assert without_worker.instances["a"].drained_at is None
    adopted = _classify(None, FleetSnapshot({"a": worker("a")}, described=DESCRIBED))
    assert adopted.newly_terminating == []
    assert adopted.instances["a"].arrived_at == NOW
    assert adopted.boot_durations == []
    undescribed = _classify(None, ALIVE)
    assert [each.id for each in undescribed.changed] == ["a"]


def test_instances_of_pending_launches_and_recently_terminated_ones_are_not_adopted() -> None:
    described = {"a": DescribedInstance("a", 0.0, token="t")}
    pending = Intent("t", 0.0, 1, LaunchRequest(count=2))
    assert _classify(None, FleetSnapshot({}, described=described), pending).instances == {}
    assert _classify(None, FleetSnapshot({}, described=described, recently_terminated={"a"})).instances == {}
    assert _classify(None, FleetSnapshot({"a": worker("a")}, recently_terminated={"a"})).instances == {}


@pytest.mark.parametrize("off_seconds", [-30 * 86_400.0, 0.0, 30 * 86_400.0], ids=["behind", "right", "ahead"])
@pytest.mark.parametrize("stepped_seconds", [0.0, 30 * 86_400.0], ids=["recorded now", "recorded before a step"])
def test_a_launch_that_is_settled_late_boots_whatever_redis_clock_shows(
    off_seconds: float, stepped_seconds: float
) -> None:
    now = 1_900_000_000.0
    intent = Intent("t", now - stepped_seconds - 20.0, 1, LaunchRequest(1))
    described = {"a": DescribedInstance("a", now - off_seconds - 20.0, "t")}
    result = classify(ScalerState(now, [intent], {}), FleetSnapshot({}, described=described), PROFILE)
    assert set(result.settled_launches) == {"t"}
    assert result.instances["a"].terminating_at is None
    assert now - PROFILE.boot_timeout_seconds < result.instances["a"].launched_at <= now
