"""Delays between tries: they grow up to a maximum and stay there, however long an outage lasts."""

import logging
import re

import pytest

from jobqueue.backoff import Backoff, Outage, exponential_seconds, jittered_seconds


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0.5), (1, 1.0), (4, 8.0), (5, 15.0)])
def test_the_delay_doubles_up_to_its_maximum(failures: int, seconds: float) -> None:
    assert exponential_seconds(failures, 0.5, 15.0) == seconds
    assert seconds / 2 <= jittered_seconds(failures, 0.5, 15.0) <= seconds


@pytest.mark.parametrize("failures", [1_023, 1_024, 100_000])
def test_an_outage_of_any_length_keeps_the_maximum(failures: int) -> None:
    assert exponential_seconds(failures, 0.1, 2.0) == 2.0
    assert 1.0 <= jittered_seconds(failures, 0.1, 2.0) <= 2.0


async def test_an_outage_is_one_line_when_it_begins_and_one_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    backoff = Backoff("claim", "rq")
    for _ in range(2):
        await backoff.failed(OSError("no route"))
        await backoff.failed(OSError("refused"))
        backoff.succeeded()
        backoff.succeeded()
    begin, end = caplog.messages[:2]
    assert begin == "event=claim_unavailable shard=rq error='no route'"
    assert re.fullmatch(r"event=claim_available shard=rq after_seconds=0\.[1-9]", end)
    assert len(caplog.messages) == 4


def test_each_kind_of_failure_begins_once_in_an_outage_and_the_outage_ends_once() -> None:
    now = 0.0
    outage = Outage(lambda: now)
    assert outage.end() is None
    assert [outage.begin(), outage.begin(), outage.begin("crash"), outage.begin("crash")] == [True, False, True, False]
    now = 7.0
    assert (outage.seconds, outage.end(), outage.seconds, outage.end()) == (7.0, 7.0, 0.0, None)
    assert outage.begin("crash")
