"""Functions that our workers and plain RQ's workers run."""

import asyncio
import time
from pathlib import Path
from typing import Any

from rq import Retry, get_current_job


def add(a: int, b: int) -> int:
    return a + b


def note(path: str, text: str) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def fail(message: str) -> None:
    raise ValueError(message)


def fail_noting(path: str) -> None:
    note(path, "run")
    raise ValueError("again")


def sleep_noting(path: str, seconds: float) -> str:
    note(path, "started")
    time.sleep(seconds)
    note(path, "ended")
    return "slept"


def retry_until(path: str, runs: int, interval: int = 0) -> Any:
    note(path, "run")
    return "done" if len(Path(path).read_text().splitlines()) >= runs else Retry(max=runs, interval=interval)


def retry_for_ever() -> Any:
    return Retry(max=2)


async def add_later(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def report_progress(gate: str) -> str:
    job = get_current_job()
    job.meta["progress"] = 50
    job.save_meta()
    while not Path(gate).exists():
        time.sleep(0.01)
    job.refresh()
    return f"{job.id} {job.get_status().value} {job.get_meta()['progress']}"


def use_redis() -> Any:
    return get_current_job().connection.keys("*")


class Counter:
    """A class whose bound methods RQ clients enqueue."""

    def __init__(self, start: int) -> None:
        self.start = start

    def plus(self, number: int) -> int:
        return self.start + number
