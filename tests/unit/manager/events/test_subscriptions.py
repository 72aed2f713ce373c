"""Which streams of the system get a change, and what becomes of slow ones."""

import pytest

from jobqueue.inspection.changes import Change
from manager.api_keys.caller import NOBODY_IN_PARTICULAR, Caller
from manager.events.replay import positions_of
from manager.events.subscriptions import MAX_UNSENT_BYTES, ChangeFilter, Subscription, Subscriptions, event_id_of

CHANGE = Change("5-0", "job", "queued", "q", {"order": "42"})
BOUND = Caller.of("key", ("jobs:read",), ("q*",))
ELSEWHERE = Caller.of("key", ("jobs:read",), ("other",))


@pytest.mark.parametrize(
    ("change_filter", "is_shown"),
    [
        (ChangeFilter(NOBODY_IN_PARTICULAR), True),
        (ChangeFilter(NOBODY_IN_PARTICULAR, queue="q"), True),
        (ChangeFilter(NOBODY_IN_PARTICULAR, queue="other"), False),
        (ChangeFilter(NOBODY_IN_PARTICULAR, status="queued"), True),
        (ChangeFilter(NOBODY_IN_PARTICULAR, status="failed"), False),
        (ChangeFilter(NOBODY_IN_PARTICULAR, label=("order", "42")), True),
        (ChangeFilter(NOBODY_IN_PARTICULAR, label=("order", "41")), False),
        (ChangeFilter(NOBODY_IN_PARTICULAR, "q", "queued", ("order", "42")), True),
        (ChangeFilter(NOBODY_IN_PARTICULAR, "other", "queued", ("order", "42")), False),
        (ChangeFilter(BOUND), True),
        (ChangeFilter(ELSEWHERE), False),
        (ChangeFilter(ELSEWHERE, queue="q"), False),
    ],
)
def test_a_stream_gets_what_its_filter_shows(change_filter: ChangeFilter, is_shown: bool) -> None:
    subscriptions, subscription = Subscriptions(2), Subscription()
    subscriptions.add(change_filter, subscription)
    subscriptions.deliver(1, [CHANGE])
    assert (b'"id":"job"' in subscription.take()) is is_shown
    # What a stream has missed is not looked up by its filter.
    assert change_filter.shows(CHANGE) is is_shown
    subscriptions.remove(change_filter, subscription)
    subscriptions.deliver(1, [CHANGE])
    assert subscription.take() == b""
    assert len(subscriptions) == 0


def test_the_id_of_an_event_tells_where_each_shard_stands() -> None:
    subscriptions, subscription = Subscriptions(2), Subscription()
    subscriptions.add(ChangeFilter(NOBODY_IN_PARTICULAR), subscription)
    subscriptions.deliver(0, [Change("7-1", "note", lines=1)])
    subscriptions.deliver(1, [CHANGE])
    assert b"id: 7-1,5-0\n" in subscription.take()
    assert positions_of(event_id_of(subscriptions.positions), 2) == ("7-1", "5-0")


@pytest.mark.parametrize("event_id", ["", "5-0", "5-0,", "5-0,6-0,7-0", "x", "5-0,6-x", "5-0,6-0\n"])
def test_an_id_of_another_queue_is_none(event_id: str) -> None:
    assert positions_of(event_id, 2) == (("5-0", "") if event_id == "5-0," else None)


def test_a_slow_stream_is_dropped_and_holds_nothing_more() -> None:
    subscription = Subscription()
    for _ in range(3):
        subscription.put(b"x" * (MAX_UNSENT_BYTES // 2))
    assert subscription.is_dropped
    subscription.put(b"x")
    assert subscription.take() == b""


def test_what_a_stream_has_sent_counts_no_more() -> None:
    subscription = Subscription()
    for _ in range(3):
        subscription.put(b"x" * (MAX_UNSENT_BYTES // 2))
        subscription.take()
    assert not subscription.is_dropped
