"""Calls of plain RQ clients' callbacks (`on_success`, `on_failure`, `on_stopped`), by RQ's rules.

They run in the job's executor, each within its own timeout. A failing `on_success` makes the job fail. What a failing
`on_failure` raises takes the place of what the job has raised (rq.worker.base.BaseWorker.perform_job).

Imports RQ, so it is itself imported only for a job that has callbacks.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rq.exceptions import AbandonedJobError
from rq.job import JobStatus, Retry
from rq.timeouts import JobTimeoutException, UnixSignalDeathPenalty
from rq.utils import now

from worker_node.executor.current_job import CurrentJob, JobConnection
from worker_node.executor.failures import format_traceback
from worker_node.executor.running_job import RunningJob, current

ROLES = ("on_success", "on_failure", "on_stopped")
MAX_ALARM_SECONDS = 1_000_000_000

Callback = tuple[Callable[..., Any], int]
"""A function, and its timeout in seconds."""


class CallWithCallbacks:
    """A job's function that also calls the job's callbacks. Call it once.

    Args:
        timeout: of the function, in seconds; -1 for none.
        stopped: whether the job has been stopped: then `on_stopped` is called instead of the function.
        abandoned: whether the job was lost with its worker: then `on_failure` is called instead, as by the program of
            RQ's that finds such a job (rq.registry.StartedJobRegistry.cleanup).
    """

    def __init__(
        self,
        function: Callable[..., Any],
        on_success: Callback | None,
        on_failure: Callback | None,
        on_stopped: Callback | None,
        *,
        timeout: int,
        stopped: bool,
        abandoned: bool,
    ) -> None:
        self._function = function
        self._on_success = on_success
        self._on_failure = on_failure
        self._on_stopped = on_stopped
        self._timeout = timeout
        self._stopped = stopped
        self._abandoned = abandoned
        self._timeout_error: BaseException | None = None
        self._running: RunningJob | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._running = current.job
        if self._stopped:
            self._call(self._on_stopped, "stopped", {})
            return None
        if self._abandoned:
            # RQ calls it before it writes the end.
            attributes = {"_status": JobStatus.STARTED, "ended_at": None}
            self._call(self._on_failure, "failure", attributes, AbandonedJobError, AbandonedJobError(), None)
            return None
        try:
            with _within(self._timeout):
                value = self._function(*args, **kwargs)
                if isinstance(value, Coroutine):
                    value = asyncio.run(value)
            if not isinstance(value, Retry):
                self._call(self._on_success, "success", {"_status": JobStatus.FINISHED, "_result": value}, value)
        except BaseException as error:
            if isinstance(error, JobTimeoutException):
                self._timeout_error = error
            self._call_on_failure(error)
            raise
        return value

    def has_timed_out(self, error: BaseException) -> bool:
        """Return whether what the call has raised is that the job, or its `on_success`, has exceeded its timeout."""
        return error is self._timeout_error

    def fail(self, error: BaseException) -> str | None:
        """Call `on_failure` for an error after the call; return the traceback of what it raises, or None."""
        try:
            self._call_on_failure(error)
        except BaseException as raised:  # noqa: BLE001 - the edge of the job
            return format_traceback(raised)
        return None

    def _call_on_failure(self, error: BaseException) -> None:
        error_info = (type(error), error, error.__traceback__)
        self._call(self._on_failure, "failure", {"_status": JobStatus.FAILED}, *error_info)

    def _call(self, callback: Callback | None, kind: str, attributes: dict[str, Any], *arguments: Any) -> None:
        if callback is None or self._running is None:
            return
        function, timeout = callback
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"Coroutine {kind} callbacks are not supported")
        job, connection = _job_and_connection(self._running)
        for name, value in {"ended_at": now(), **attributes}.items():
            setattr(job, name, value)
        with _within(timeout):
            function(job, connection, *arguments)


def _job_and_connection(running: RunningJob) -> tuple[CurrentJob, JobConnection]:
    job = CurrentJob(running.agent, running.sequence, running.job_id, pickled=running.pickled)
    return job, JobConnection(running.agent, running.sequence, running.job_id)


def _within(seconds: int) -> AbstractContextManager[Any]:
    """Raise RQ's exception for a timeout in what runs for longer."""
    if seconds <= 0:
        return nullcontext()
    limit: AbstractContextManager[Any] = UnixSignalDeathPenalty(min(seconds, MAX_ALARM_SECONDS), JobTimeoutException)  # type: ignore[no-untyped-call]
    return limit
