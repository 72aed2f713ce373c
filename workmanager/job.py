"""What a running job can learn of itself. For the functions that workers run; elsewhere each call raises RuntimeError.

Functions run in processes that have this package on their path, and need no other of it.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import Any, TypeVar

Item = TypeVar("Item")

MAX_TOLD_BYTES = 256 * 1024
MAX_TEXT_CHARACTERS = 1024
"""Of the text of a progress. The worker keeps fewer."""
inline: ContextVar[Any] = ContextVar("inline", default=None)
"""The job that `workmanager.testing` runs."""


class RateLimited(Exception):
    """Raised by a function: no job begins under its limit `key` for `seconds`, and this one runs again then.

    It does not count as a failure, and uses up no retry. The job must have been submitted with that limit.
    """

    def __init__(self, key: str, seconds: float) -> None:
        super().__init__(f"{key}: for {seconds:g} s")
        self.key = str(key)
        self.seconds = float(seconds)


def id() -> str:  # noqa: A001 - `job.id()` is what it is called
    """Return the id of the running job."""
    return str(_running().job_id)


def progress(done: float, total: float | None = None, text: str | None = "") -> None:
    """Tell how far the job is: `done` of `total`. Only the last one is kept; calls in a tight loop cost little.

    Raises:
        RuntimeError: there is no running job, or a number is none.
    """
    running = _running()
    shown = "" if text is None else str(text)[:MAX_TEXT_CHARACTERS]
    told = json.dumps({"done": done, "total": total, "text": shown})
    running.agent.query(running.sequence, "progress", "", told.encode())


def log(text: str) -> None:
    """Add lines to the job's log, of which the last 1,000 are kept, each of at most 2,000 characters.

    Raises:
        RuntimeError: there is no running job.
    """
    running = _running()
    running.agent.query(running.sequence, "log", "", str(text).encode("utf-8", "replace")[:MAX_TOLD_BYTES])


def track(items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
    """Yield the items, and tell after each how many are done; `total` is their number if they do not know it."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    for done, item in enumerate(items):
        progress(done, total)
        yield item
        progress(done + 1, total)


def parent_results() -> dict[str, Any]:
    """Return the results of the jobs that this one has waited for, by their ids, in the order of `depends_on`.

    A parent that did not finish, and of which any end was awaited, has None. Each result has at most 1 MiB.

    Raises:
        RuntimeError: there is no running job, a parent's result is not kept any more, or is larger, or Redis is
            unavailable.
    """
    running = _running()
    results = {}
    for parent_id in running.agent.query(running.sequence, "parents", "", b""):
        raw = running.agent.query(running.sequence, "parent", parent_id, b"")
        results[parent_id] = None if raw is None else _decoded(parent_id, raw)
    return results


def _decoded(parent_id: str, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        # A plain RQ job's result is a pickle, which runs code when it is read.
        raise RuntimeError(f"the result of job {parent_id} is not JSON") from None


def _running() -> Any:
    if (running := inline.get()) is not None:
        return running
    # Looked up, not imported: only an executor has this module, and it imports nothing of this package.
    module = sys.modules.get("worker_node.executor.running_job")
    running = None if module is None else module.current.job
    if running is None:
        raise RuntimeError("no job is running in this process: this works in functions that a worker runs")
    return running
