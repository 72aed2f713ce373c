"""Alerts begin once and end once, whatever the conditions do and whoever tells them."""

import json

import pytest

from manager.alerts.conditions import Condition
from manager.alerts.message import MAX_SUBJECT, message
from manager.alerts.tracker import CLEAR_SECONDS, FORGET_SECONDS, MAX_ALERTS, AlertTracker

NOW = 1_900_000_000.0
ONE = {Condition("shard_away", "rq"): "shard rq does not answer"}
NONE: dict[Condition, str] = {}


def told(tracker: AlertTracker, found: dict[Condition, str], now: float) -> list[str]:
    """Update, and return what is told then."""
    tracker.update(found, now)
    due = tracker.due()
    tracker.told(due)
    return ["ended" if alert.ended_at is not None else "began" for alert in due]


def tracker(hold_seconds: float = 0.0) -> AlertTracker:
    return AlertTracker(hold_seconds={"shard_away": hold_seconds})


def test_an_alert_is_told_when_it_begins_and_when_it_has_ended_and_not_in_between() -> None:
    one = tracker()
    assert told(one, ONE, NOW) == ["began"]
    assert [told(one, ONE, NOW + second) for second in range(5, 4000, 5)] == [[]] * 799
    assert told(one, NONE, NOW + 4000) == []
    assert told(one, NONE, NOW + 4000 + CLEAR_SECONDS) == ["ended"]
    assert [told(one, NONE, NOW + 5000 + second) for second in range(5)] == [[]] * 5


def test_what_does_not_last_is_not_told() -> None:
    one = tracker(hold_seconds=20)
    assert told(one, ONE, NOW) == []
    assert told(one, ONE, NOW + 15) == []
    assert told(one, NONE, NOW + 20) == []
    assert told(one, ONE, NOW + 25) == []
    assert told(one, ONE, NOW + 45) == ["began"]


def test_what_comes_and_goes_is_told_ever_less_often_until_it_was_quiet_for_long() -> None:
    one, seconds, said = tracker(), 0, 0
    while seconds < 24 * 3600:
        # A minute and a half with it, as long without.
        said += len(told(one, ONE if seconds // 90 % 2 else NONE, NOW + seconds))
        seconds += 5
    assert said <= 4
    assert told(one, NONE, NOW + seconds + 4000) in ([], ["ended"])
    told(one, NONE, NOW + seconds + 4001 + FORGET_SECONDS)
    assert one.alerts == {}


def test_what_ends_before_it_could_be_told_is_told_as_ended() -> None:
    one = tracker()
    one.update(ONE, NOW)
    one.update(NONE, NOW + CLEAR_SECONDS)
    (alert,) = one.due()
    assert (alert.began_at, alert.ended_at) == (NOW, NOW)


def test_another_manager_goes_on_with_what_was_told() -> None:
    one, other = tracker(), tracker()
    told(one, ONE, NOW)
    other.load(json.loads(json.dumps(one.dump())))
    assert told(other, ONE, NOW + 5) == []
    assert told(other, NONE, NOW + 5 + CLEAR_SECONDS) == ["ended"]


@pytest.mark.parametrize("garbage", [None, 1, "text", {"a": 1}, [1], [{}], [{"kind": "a"}], [[]]])
def test_a_state_that_cannot_be_read_is_no_state(garbage: object) -> None:
    one = tracker()
    one.load(garbage)
    assert told(one, ONE, NOW) == ["began"]


def test_there_are_not_more_than_so_many() -> None:
    one = tracker()
    assert len(told(one, {Condition("shard_away", str(n)): "" for n in range(1000)}, NOW)) == MAX_ALERTS


def test_a_message_tells_of_all_in_one_and_its_subject_fits_an_e_mail() -> None:
    one = tracker()
    one.update({Condition("shard_away", f"s{n}"): f"shard s{n}\nis «away» {'x' * 90}" for n in range(3)}, NOW)
    sent = message(one.due(), "production", NOW)
    body = json.loads(sent.body)
    assert [alert["status"] for alert in body["alerts"]] == ["began"] * 3
    assert body["alerts"][0]["began_at"] == "2030-03-17T17:46:40.000000Z"
    assert sent.subject.startswith("production: 3 alerts: began: shard s0 is ?away?")
    assert len(sent.subject) == MAX_SUBJECT
    assert body["text"] == sent.text
