"""Decide what an answer means: whether the callback is delivered, when it is sent again, whether the host works."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from jobqueue.callbacks.outbox import Outcome
from jobqueue.model import DAY_SECONDS

RETRY_INTERVALS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds between attempts: those of Standard Webhooks' specification, ten attempts in 75 hours."""
JITTER = 0.2
"""Each is made up to so much shorter or longer, so that what failed together does not come back together."""
MAX_RETRY_AFTER_SECONDS = DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a callback; the fields are those of `jobqueue.callbacks.outbox.Report`."""

    outcome: Outcome
    delay_seconds: float = 0.0
    host_works: bool | None = None


def judge(
    status: int | None, retry_after_seconds: float, tries: int, intervals: Sequence[float], jitter: float
) -> Verdict:
    """Judge an attempt.

    Args:
        status: of the answer; None if there was none.
        retry_after_seconds: how long the answer asks to wait; 0 if it does not.
        tries: attempts before this one.
        intervals: seconds between the attempts.
        jitter: a random number from -1 to 1.
    """
    works = status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS
    if status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict(Outcome.DELIVERED, host_works=True)
    if status == HTTPStatus.GONE or tries >= len(intervals):
        return Verdict(Outcome.DEAD, host_works=works)
    pause_seconds = intervals[tries] * (1 + JITTER * jitter)
    return Verdict(Outcome.RETRY, max(pause_seconds, retry_after_seconds), works)


def retry_after(header: str | None, now: float) -> float:
    """Return the seconds that a header `Retry-After` asks to wait, at most a day; 0 if it asks for none."""
    if not header:
        return 0.0
    if header.isascii() and header.isdecimal():
        # Not as a number of any length.
        return float(min(int(header[:9]), MAX_RETRY_AFTER_SECONDS))
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - datetime.fromtimestamp(now, UTC)).total_seconds()
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)
