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


def sleep_or_say(path: str, seconds: float) -> str:
    """Sleep, and say so if that is interrupted."""
    try:
        time.sleep(seconds)
    except BaseException as error:
        note(path, f"interrupted by {type(error).__name__}")
        raise
    return "slept"


def large_result(path: str) -> str:
    return "x" * (2 << 20)


async def say_later(path: str, text: str) -> str:
    await asyncio.sleep(0)
    return text


# Callbacks. The first argument of the job is the file that they write to.


def tell_success(job: Any, connection: Any, result: Any) -> None:
    note(job.args[0], f"success {result} {job.get_status(refresh=False).value} {job.get_status().value}")


def tell_failure(job: Any, connection: Any, kind: Any, error: Any, traceback: Any) -> None:
    note(job.args[0], f"failure {kind.__name__} {error} {traceback is not None} {job.get_status(refresh=False).value}")


def tell_stopped(job: Any, connection: Any) -> None:
    note(job.args[0], f"stopped {job.id}")


def fail_callback(job: Any, *_: Any) -> None:
    note(job.args[0], "failing callback")
    raise LookupError("callback")


def slow_callback(job: Any, *_: Any) -> None:
    note(job.args[0], "slow callback")
    time.sleep(30)


async def async_callback(job: Any, *_: Any) -> None:
    note(job.args[0], "never")


def save_meta_callback(job: Any, *_: Any) -> None:
    job.meta["callback"] = "was here"
    job.save_meta()


def use_connection(job: Any, connection: Any, *_: Any) -> None:
    connection.set("key", "value")


class Counter:
    """A class whose bound methods RQ clients enqueue."""

    def __init__(self, start: int) -> None:
        self.start = start

    def plus(self, number: int) -> int:
        return self.start + number
