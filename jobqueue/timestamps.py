"""Timestamps as RQ writes them (rq.utils.utcformat): UTC, ISO 8601 with microseconds."""

import time
from datetime import UTC, datetime

LAST_MILLISECOND = 253_402_300_799_999
"""Unix time of the end of the year 9999: no timestamp can be later."""


def iso(now: float | None) -> str:
    """Return RQ's text for `now`, a Unix time; None is the current time."""
    return datetime.fromtimestamp(time.time() if now is None else now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clock_argument(now: float | None) -> str:
    """Return `now` as a script argument; '' makes the script use Redis' clock, which all programs share."""
    return "" if now is None else repr(now)
