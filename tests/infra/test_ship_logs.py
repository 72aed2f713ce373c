"""Logs reach CloudWatch after outages of any length; what CloudWatch refuses for good costs itself alone."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.host import ship_logs

HOUR = 3_600_000
Event = dict[str, Any]


class LogStream:
    """Takes what PutLogEvents takes, and refuses the rest as a whole, as documented:
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html

    Attributes:
        taken: the events, in their order.
    """

    def __init__(self, poison: str = "") -> None:
        self.taken: list[Event] = []
        self._poison = poison

    def put(self, events: Sequence[Event]) -> None:
        """Take a batch, or refuse it."""
        times = [event["timestamp"] for event in events]
        size = sum(len(event["message"].encode()) + 26 for event in events)
        if (
            max(times) - min(times) > 24 * HOUR
            or times != sorted(times)
            or len(events) > 10_000
            or size > 1_048_576
            or any(self._poison and self._poison in event["message"] for event in events)
        ):
            refusal = {"Error": {"Code": "InvalidParameterException", "Message": "Log events in a single ..."}}
            raise ClientError(refusal, "PutLogEvents")  # type: ignore[arg-type]
        self.taken += events


def ship(stream: LogStream, events: list[Event]) -> None:
    for batch in ship_logs.batches_by_time(events):
        ship_logs.ship_events(stream.put, batch)


def test_lines_of_a_long_outage_are_shipped_in_batches_of_less_than_a_day() -> None:
    events = [{"timestamp": number * HOUR, "message": f"{number}"} for number in range(24 * 5)]
    stream = LogStream()
    with pytest.raises(ClientError):
        stream.put(events)
    ship(stream, events)
    assert stream.taken == events


def test_a_line_that_is_refused_is_dropped_and_told_and_the_others_are_shipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = [{"timestamp": number, "message": f"line {number:04}"} for number in range(1_000)]
    stream = LogStream(poison="0517")
    with caplog.at_level(logging.WARNING):
        ship(stream, events)
    assert stream.taken == [event for event in events if event["timestamp"] != 517]
    (record,) = caplog.records
    assert record.getMessage().startswith("event=log_dropped timestamp=517 reason=")


def test_another_refusal_is_no_reason_to_drop_lines() -> None:
    def put(events: Sequence[Event]) -> None:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "PutLogEvents")

    with pytest.raises(ClientError):
        ship_logs.ship_events(put, [{"timestamp": 0, "message": "a"}])


def test_the_largest_batch_of_the_longest_characters_is_taken() -> None:
    line = '{"MESSAGE": "%s", "__REALTIME_TIMESTAMP": "1000", "__CURSOR": "c"}' % ("\U0001f600" * 20_000)
    batch = ship_logs.parse_journal([line] * ship_logs.BATCH_EVENTS)
    assert batch is not None
    stream = LogStream()
    ship(stream, batch.events)
    assert stream.taken == batch.events


def test_a_message_with_half_a_character_can_be_sent() -> None:
    batch = ship_logs.parse_journal(['{"MESSAGE": "a\\ud83d", "__REALTIME_TIMESTAMP": "1000", "__CURSOR": "c"}'])
    assert batch is not None
    assert batch.events[0]["message"].encode() == b"a?"
