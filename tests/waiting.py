"""Waiting for what another process does: a condition polled until a deadline, never a bare sleep.

A deadline costs time only where a test fails, so that it is generous: machines that run tests are slow at times. What
must not take long is measured by whoever promises it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02
DEADLINE_SECONDS = 60.0


def until(condition: Callable[[], T], seconds: float = DEADLINE_SECONDS, *, wanted: str = "") -> T:
    """The first true value of `condition`; AssertionError, naming `wanted`, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        time.sleep(_POLL_SECONDS)
    return value


async def until_async(
    condition: Callable[[], Awaitable[T]], seconds: float = DEADLINE_SECONDS, *, wanted: str = ""
) -> T:
    """The same for a coroutine function."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        await asyncio.sleep(_POLL_SECONDS)
    return value
