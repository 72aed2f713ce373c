"""What an answer means for a callback and for its host."""

import time
from email.utils import formatdate

import pytest

from jobqueue.callbacks.outbox import Outcome
from manager.callbacks.verdict import RETRY_INTERVALS, Verdict, judge, retry_after

NOW = 1_764_316_000.0


@pytest.mark.parametrize(
    ("status", "outcome", "host_works"),
    [
        (200, Outcome.DELIVERED, True),
        (204, Outcome.DELIVERED, True),
        (301, Outcome.RETRY, True),
        (400, Outcome.RETRY, True),
        (401, Outcome.RETRY, True),
        (410, Outcome.DEAD, True),
        (429, Outcome.RETRY, False),
        (500, Outcome.RETRY, False),
        (503, Outcome.RETRY, False),
        (None, Outcome.RETRY, False),
    ],
)
def test_only_2xx_is_taken_and_410_ends_it(status: int | None, outcome: Outcome, host_works: bool) -> None:
    verdict = judge(status, 0, 0, RETRY_INTERVALS, 0)
    assert (verdict.outcome, verdict.host_works) == (outcome, host_works)


def test_the_intervals_are_those_of_the_specification_then_it_is_given_up() -> None:
    verdicts = [judge(500, 0, tries, RETRY_INTERVALS, 0) for tries in range(10)]
    assert [verdict.delay_seconds for verdict in verdicts[:9]] == [
        *(5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600),
        *(10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600),
    ]
    assert verdicts[9] == Verdict(Outcome.DEAD, 0, host_works=False)


def test_jitter_moves_an_attempt_by_a_fifth_at_most() -> None:
    assert [judge(500, 0, 1, RETRY_INTERVALS, jitter).delay_seconds for jitter in (-1, 1)] == [240, 360]


def test_a_receiver_can_ask_for_more_time_but_not_for_less() -> None:
    assert judge(503, 600, 0, RETRY_INTERVALS, 0).delay_seconds == 600
    assert judge(503, 1, 1, RETRY_INTERVALS, 0).delay_seconds == 300


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        ("9" * 5000, 86_400),
        ("-5", 0),
        ("soon", 0),
        ("١٢", 0),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 10**7, usegmt=True), 86_400),
        ("Fri, 28 Nov 2025 07:48:10", 90),
    ],
)
def test_retry_after_is_read_in_both_forms_up_to_a_day(header: str | None, seconds: float) -> None:
    assert retry_after(header, NOW) == seconds
    assert time.gmtime(NOW).tm_year == 2025
