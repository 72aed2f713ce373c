"""Waiting for what another process does: a condition polled until a deadline, never a bare sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02


def until(condition: Callable[[], T], seconds: float = 10.0, *, wanted: str = "") -> T:
    """The first true value of `condition`; AssertionError, naming `wanted`, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        time.sleep(_POLL_SECONDS)
    return value


async def until_async(condition: Callable[[], Awaitable[T]], seconds: float = 10.0, *, wanted: str = "") -> T:
    """The same for a coroutine function."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {wanted or condition}; last: {value!r}"
        await asyncio.sleep(_POLL_SECONDS)
    return value
