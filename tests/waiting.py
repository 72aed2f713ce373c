"""Poll a condition until a deadline, to wait for another process without a bare sleep.

Deadlines are generous because test machines can be slow, and a deadline costs time only if the test fails. Tests of
promised durations measure them on their own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS, _MAX_POLL_SECONDS = 0.02, 0.1
_POLL_SHARE = 0.05
"""Between two polls, this share of the time waited so far passes: polling costs what is waited for its processor."""
DEADLINE_SECONDS = 60.0


def until(condition: Callable[[], T], seconds: float = DEADLINE_SECONDS, *, wanted: str = "") -> T:
    """Return the first true value of `condition`; raise AssertionError naming `wanted` if there is none in time."""
    began = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - began
        assert waited < seconds, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        time.sleep(_poll_seconds(waited))
    return value


async def until_async(
    condition: Callable[[], Awaitable[T]], seconds: float = DEADLINE_SECONDS, *, wanted: str = ""
) -> T:
    """Do the same as `until` for a coroutine function."""
    began = time.monotonic()
    while not (value := await condition()):
        waited = time.monotonic() - began
        assert waited < seconds, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        await asyncio.sleep(_poll_seconds(waited))
    return value


def _poll_seconds(waited: float) -> float:
    return min(_MAX_POLL_SECONDS, max(_POLL_SECONDS, waited * _POLL_SHARE))
