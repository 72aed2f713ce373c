"""Times as RQ writes them (rq.utils.utcformat): UTC, ISO 8601 with microseconds."""

import time
from datetime import UTC, datetime


def iso(now: float | None) -> str:
    """RQ's text for `now`, seconds since the epoch; None is the present."""
    return datetime.fromtimestamp(time.time() if now is None else now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def clock_argument(now: float | None) -> str:
    """How scripts are given the time: '' lets them ask Redis, whose clock all nodes share."""
    return "" if now is None else repr(now)
