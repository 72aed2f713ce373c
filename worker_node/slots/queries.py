"""Queries of running jobs about their own records: passed on if they are what a job may ask."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from worker_node.ipc.protocol import MAX_PENDING_QUERIES
from worker_node.slots.executor_process import ExecutorProcess
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.reports import ProtocolError, read_query
from worker_node.slots.slot_events import Queried


class Queries:
    """Passes on the queries of one slot's jobs, and the answers to the executor that asked."""

    def __init__(self, held: HeldJobs, on_queried: Queried) -> None:
        self._held = held
        self._on_queried = on_queried
        self._pending: dict[ExecutorProcess, int] = {}

    def take(self, process: ExecutorProcess, frames: Sequence[bytes | None]) -> None:
        """Pass queries on.

        Args:
            frames: payloads; None for bytes that are no frame.

        Raises:
            ProtocolError: an executor does not send that by itself. No later query is taken.
        """
        for frame in frames:
            if frame is None:
                raise ProtocolError("bytes that are no frame, in place of a query")
            number, sequence, operation, field, value = read_query(frame)
            pending = self._pending.get(process, 0)
            if pending >= MAX_PENDING_QUERIES:
                raise ProtocolError("many queries before the first is answered")
            job = self._held.get(sequence)
            if job is None or sequence != process.status.running_task(0)[0]:
                process.answer(number, False, "the job's record cannot be reached: the job is no longer running")
                continue
            self._pending[process] = pending + 1
            self._on_queried(partial(self._answer, process, number), job, operation, field, value)

    def forget(self, process: ExecutorProcess) -> None:
        """Answer no more queries of an executor that has ended."""
        self._pending.pop(process, None)

    def _answer(self, process: ExecutorProcess, number: int, ok: bool, content: Any) -> None:
        if process in self._pending:
            self._pending[process] -= 1
            process.answer(number, ok, content)
