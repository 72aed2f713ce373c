"""What has become of an instance, by its worker, by the fleet, and by how long that is so."""

from dataclasses import replace

import pytest

from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import Instance, Intent, Order, Sighting
from scaler.observe.instance_phases import (
    LOST_SECONDS,
    MISSING_SECONDS,
    PASS_SECONDS,
    SILENT_SECONDS,
    Phase,
    Review,
    Seen,
    is_heard,
    phase_of,
    review,
)
from scaler.state.store import Book
from tests.unit.scaler.factories import NOW, PROFILE, instance, worker


def _review(each: Instance | None, seen: Seen, *intents: Intent) -> Review:
    return review(Book(NOW, intents, {each.id: each} if each else {}), seen, PROFILE)


def _one(each: Instance, seen: Seen) -> Instance:
    return _review(each, seen).instances[each.id]


HEARD = Seen({"a": worker("a")})
UNHEARD = Seen({})
SHOWN = {"a": Sighting("a", 0.0)}


@pytest.mark.parametrize(
    ("each", "heard", "phase"),
    [
        (instance("a", arrived=False), None, Phase.BOOTING),
        (instance("a"), worker("a"), Phase.IDLE),
        (instance("a"), worker("a", "busy", running=1), Phase.BUSY),
        (instance("a"), worker("a", "draining", running=1), Phase.DRAINING),
        (instance("a"), worker("a", "busy", running=1, leaving="spot"), Phase.DRAINING),
        (instance("a"), worker("a", "busy", running=1, leaving="rebalance"), Phase.BUSY),
        (instance("a", closing_at=1.0), worker("a"), Phase.DRAINING),
        (instance("a", closing_at=1.0), None, Phase.ENDING),
        (instance("a"), None, Phase.LOST),
    ],
)
def test_phases(each: Instance, heard: WorkerView | None, phase: Phase) -> None:
    assert phase_of(each, heard) is phase


def test_a_worker_is_heard_of_until_it_has_been_silent_for_long() -> None:
    assert is_heard(replace(worker("a"), silent_seconds=SILENT_SECONDS - 1))
    assert not is_heard(replace(worker("a"), silent_seconds=SILENT_SECONDS))


def test_a_boot_is_measured_once() -> None:
    booting = instance("a", NOW - 70.0, arrived=False)
    seen = _review(booting, HEARD)
    assert seen.boots == [70.0]
    assert seen.instances["a"].arrived_at == NOW
    assert _review(seen.instances["a"], HEARD).boots == []


def test_nothing_is_written_where_nothing_has_changed() -> None:
    assert _review(instance("a"), HEARD).changed == []


def test_a_boot_beyond_its_limit_has_failed() -> None:
    late, waiting = (instance("a", NOW - seconds, arrived=False) for seconds in (301.0, 299.0))
    seen = _review(late, UNHEARD)
    assert (seen.failed_boots, seen.instances["a"].closing_at) == (["a"], NOW)
    assert [each.reason for each in seen.closed] == ["never_registered"]
    assert _review(waiting, UNHEARD).failed_boots == []
    assert _review(late, HEARD).failed_boots == []


def test_an_instance_that_ended_by_itself_is_gone_and_a_boot_of_it_has_failed() -> None:
    ended = Seen({}, sightings={"a": Sighting("a", 0.0, ended=True)})
    assert (_review(instance("a"), ended).gone, _review(instance("a"), ended).failed_boots) == (["a"], [])
    assert _review(instance("a", NOW, arrived=False), ended).failed_boots == ["a"]
    taken = Seen({}, sightings={"a": Sighting("a", 0.0, ended=True, interrupted=True)})
    assert _review(instance("a", NOW, arrived=False), taken).failed_boots == []


def test_a_silent_worker_is_lost_first_and_dead_later() -> None:
    lost = _one(instance("a"), UNHEARD)
    assert (lost.lost_at, lost.closing_at) == (NOW, None)
    assert _one(lost, HEARD).lost_at is None
    dead = _one(instance("a", lost_at=NOW - LOST_SECONDS), UNHEARD)
    assert (dead.reason, dead.empty_at) == ("silent", None)


def test_a_worker_that_left_in_order_leaves_an_empty_instance() -> None:
    left = _one(instance("a"), Seen({}, left={"a"}))
    assert (left.reason, left.closing_at, left.empty_at) == ("left", NOW, NOW)
    assert _one(instance("a", closing_at=5.0, reason="idle"), Seen({}, left={"a"})).empty_at == NOW


def test_as_long_as_its_worker_is_heard_an_instance_is_not_empty() -> None:
    closing = instance("a", closing_at=5.0, cut_off_at=5.0, reason="idle")
    assert _one(closing, HEARD).empty_at is None
    assert _one(closing, Seen({"a": worker("a")}, left={"a"})).empty_at is None


def test_a_closed_one_that_fell_silent_is_empty_when_its_leases_have_run_out() -> None:
    closing = instance("a", closing_at=5.0, cut_off_at=5.0, lost_at=NOW - LOST_SECONDS + 1)
    assert _one(closing, UNHEARD).empty_at is None
    assert _one(instance("a", closing_at=5.0, cut_off_at=5.0, lost_at=NOW - LOST_SECONDS), UNHEARD).empty_at == NOW


def test_one_that_never_came_is_empty_a_pass_after_it_was_cut_off() -> None:
    def closed(cut_off_at: float | None) -> Instance:
        return _one(instance("a", arrived=False, closing_at=5.0, cut_off_at=cut_off_at), UNHEARD)

    assert closed(None).empty_at is None
    assert closed(NOW - PASS_SECONDS + 1).empty_at is None
    assert closed(NOW - PASS_SECONDS).empty_at == NOW


def test_one_that_is_not_shown_is_missing_and_taken_for_gone_only_when_its_worker_is_too() -> None:
    not_shown = Seen({}, sightings={})
    assert _one(instance("a"), not_shown).missed_at == NOW
    assert _one(instance("a", missed_at=5.0), Seen({}, sightings=SHOWN)).missed_at is None
    assert _one(instance("a", missed_at=NOW - MISSING_SECONDS), not_shown).reason == "vanished"
    assert _one(instance("a", missed_at=5.0), Seen({"a": worker("a")}, sightings={})).closing_at is None
    assert _one(instance("a"), UNHEARD).missed_at is None


def test_one_that_stands_still_is_ended() -> None:
    stopped = _one(instance("a"), Seen({}, sightings={"a": Sighting("a", 0.0, stopped=True)}))
    assert (stopped.reason, stopped.empty_at) == ("stopped", NOW)


def test_strangers_are_closed_at_first_sight_unless_their_worker_works() -> None:
    stranger = _review(None, Seen({}, sightings=SHOWN))
    assert [(each.id, each.reason) for each in stranger.closed] == [("a", "stranger")]
    assert stranger.instances["a"].empty_at is None
    known = _review(None, Seen({"a": worker("a")}, sightings=SHOWN))
    assert known.closed == []
    assert known.instances["a"].arrived_at == NOW
    assert known.boots == []
    unseen = _review(None, Seen({"a": worker("a")}))
    assert [each.id for each in unseen.changed] == ["a"]


def test_what_an_open_launch_brought_is_no_stranger_nor_what_has_just_gone() -> None:
    shown = {"a": Sighting("a", 0.0, "t")}
    assert _review(None, Seen({}, sightings=shown), Intent("t", 0.0, 1, Order(1))).instances == {}
    assert _review(None, Seen({}, sightings=shown, gone={"a"})).instances == {}
    assert _review(None, Seen({"a": worker("a")}, gone={"a"})).instances == {}
