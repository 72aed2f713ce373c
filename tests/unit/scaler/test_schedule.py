"""Periodic tasks follow the monotonic clock: a step of the wall clock changes nothing but a line in the log."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest

from scaler import schedule
from scaler.schedule import PeriodicTasks

INTERVAL_SECONDS = 0.02
PATIENCE_SECONDS = 5.0
RUNS = 5


class _Clock:
    """The wall clock of the test."""

    step = timedelta(0)


class _SteppedDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + _Clock.step


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> type[_Clock]:
    for module in ("apscheduler.schedulers.base", "apscheduler.executors.base", "scaler.schedule"):
        monkeypatch.setattr(f"{module}.datetime", _SteppedDatetime)
    monkeypatch.setattr(schedule, "WATCH_SECONDS", INTERVAL_SECONDS)
    monkeypatch.setattr(_Clock, "step", timedelta(0))
    return _Clock


def _counted(runs: list[float]) -> tuple[Callable[[], Awaitable[None]], Callable[[int], Awaitable[None]]]:
    """Return a task that notes its runs, and a function that waits for some more of them."""
    changed = asyncio.Event()

    async def task() -> None:
        runs.append(time.monotonic())
        changed.set()

    async def wait_for_more(number: int) -> None:
        wanted = len(runs) + number
        while len(runs) < wanted:
            changed.clear()
            await asyncio.wait_for(changed.wait(), PATIENCE_SECONDS)

    return task, wait_for_more


@pytest.mark.parametrize("step", [timedelta(seconds=-600), timedelta(days=-300), timedelta(days=30)], ids=str)
async def test_a_step_of_the_clock_delays_nothing_and_is_logged_once(
    clock: type[_Clock], step: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[float] = []
    task, wait_for_more = _counted(runs)
    tasks = PeriodicTasks()
    tasks.add(task, INTERVAL_SECONDS, id_="task")
    tasks.start()
    await wait_for_more(RUNS)
    for moved in (step, timedelta(0)):
        clock.step = moved
        stepped_at = time.monotonic()
        await wait_for_more(RUNS)
        assert time.monotonic() - stepped_at < PATIENCE_SECONDS / 2
    tasks.stop()
    # Runs that a leap has passed over are not made up for.
    assert len(runs) <= (runs[-1] - runs[0]) / INTERVAL_SECONDS + RUNS
    seconds = [message.split()[1] for message in caplog.messages if "event=clock_stepped" in message]
    assert seconds == [f"seconds={sign * step.total_seconds():+.0f}:" for sign in (1, -1)]


async def test_a_task_that_takes_long_neither_overlaps_nor_loses_its_next_run(clock: type[_Clock]) -> None:
    running, most, runs = 0, 0, 0
    done = asyncio.Event()

    async def task() -> None:
        nonlocal running, most, runs
        running += 1
        most, runs = max(most, running), runs + 1
        await asyncio.sleep(3 * INTERVAL_SECONDS)
        running -= 1
        if runs == 3:
            done.set()

    tasks = PeriodicTasks()
    tasks.add(task, INTERVAL_SECONDS, id_="task")
    tasks.start()
    await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
    tasks.stop()
    assert most == 1
