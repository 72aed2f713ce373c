"""Poll a condition until a deadline, to wait for another process without a bare sleep.

Deadlines are generous because test machines can be slow, and a deadline costs time only if the test fails. Tests of
promised durations measure them on their own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02
DEADLINE_SECONDS = 60.0


def until(condition: Callable[[], T], seconds: float = DEADLINE_SECONDS, *, wanted: str = "") -> T:
    """Return the first true value of `condition`; raise AssertionError naming `wanted` if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        time.sleep(_POLL_SECONDS)
    return value


async def until_async(
    condition: Callable[[], Awaitable[T]], seconds: float = DEADLINE_SECONDS, *, wanted: str = ""
) -> T:
    """Do the same as `until` for a coroutine function."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        await asyncio.sleep(_POLL_SECONDS)
    return value
