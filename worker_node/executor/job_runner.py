"""One job, from its record to the report on it.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, TypeGuard

from jobqueue.functions import BUILT_IN
from worker_node.executor.agent_client import AgentClient
from worker_node.executor.calls import CallDecoder, DecodedCall, Rejected
from worker_node.executor.failures import format_traceback, is_permanent, printable
from worker_node.executor.import_watch import ImportWatch
from worker_node.executor.isolation.limited_resources import limit_resources, note_limit
from worker_node.executor.results import PLACEHOLDER, ResultError, encode_result
from worker_node.executor.rq_support import RqSupport
from worker_node.executor.running_job import RunningJob
from worker_node.executor.trace_support import TraceSupport
from worker_node.ipc.protocol import (
    MAX_NAME_CHARS,
    MAX_RETRY_INTERVALS,
    MAX_RETRY_NUMBER,
    Task,
    TaskOutcome,
    TaskReport,
)
from worker_node.job_limits import NO_LIMITS, LimitTable

MAX_BYTES_AHEAD = 1 << 16
"""The report of a job that runs in its own process waits while the call of the next one is decoded."""
_NEVER_COROUTINES = frozenset({str, int, float, bool, list, dict, type(None)})
_WRONG_ARGUMENTS = (TypeError, ValueError, OverflowError)


class JobRunner:
    """Runs jobs in this process and describes how they ended.

    Args:
        limits: of what each function may use.
    """

    def __init__(self, calls: CallDecoder, limits: LimitTable) -> None:
        self._calls = calls
        self._limits = limits if limits else None
        self._counts_processes = limits.counts_processes
        imports = ImportWatch()
        self._rq = RqSupport(imports)
        self._traces = TraceSupport(imports)

    def decode(self, task: Task) -> DecodedCall:
        """Return the call that a job asks for. What it raises is for `failed`."""
        call = self._calls.decode(task.data)
        if task.callbacks is not None:
            return call._replace(target=self._with_callbacks(task, call))
        return call

    def decode_ahead(self, task: Task) -> DecodedCall | None:
        """Return the call of a job that comes next; None if its process must not be made while another job runs.

        That is so if decoding it may import something or takes long, or if the agent counts the processes of jobs.
        """
        if task.callbacks is not None or len(task.data) > MAX_BYTES_AHEAD or self._counts_processes:
            return None
        return self._calls.decode_resolved(task.data)

    def _with_callbacks(self, task: Task, call: DecodedCall) -> Any:
        # Here, because RQ takes most of an executor's start, and few jobs have callbacks.
        from worker_node.executor.rq_callbacks import ROLES, CallWithCallbacks

        *callbacks, timeout = task.callbacks or ()
        functions = [
            callback and (self._calls.callback(callback[0], role, call.function), callback[1])
            for role, callback in zip(ROLES, callbacks, strict=True)
        ]
        return CallWithCallbacks(
            call.target, *functions, timeout=timeout, stopped=task.stopped, abandoned=task.abandoned
        )

    def run(self, task: Task, call: DecodedCall, agent: AgentClient, started_ns: int) -> TaskReport:
        """Run a job; return the report on it, whatever it does.

        Args:
            agent: answers the job's queries about its own record.
            started_ns: when the job started, by the monotonic clock.
        """
        detail: Any = None
        limits = NO_LIMITS if self._limits is None else self._limits.of(call.function)
        end_limits: Callable[[], None] | None = None
        try:
            token = self._rq.begin(RunningJob(agent, task.sequence, task.job_id, call.pickled, task.trace))
            try:
                if limits is not NO_LIMITS:
                    end_limits = limit_resources(limits)
                # In a context of its own: what a job sets in context variables ends with it.
                context = copy_context()
                if task.trace is not None:
                    self._traces.begin(task.trace, context)
                value = context.run(call.target, *call.args, **call.kwargs)
                # The first check is quick and settles most results; the second asks an abstract base class. It is not
                # `asyncio.iscoroutine`, which Python 3.11 answers with yes for a generator, too.
                if type(value) not in _NEVER_COROUTINES and isinstance(value, Coroutine):
                    import asyncio  # Here, because it takes a third of an executor's start.

                    value = context.run(asyncio.run, value)
            finally:
                if end_limits is not None:
                    end_limits()
                self._rq.end(token)
            if isinstance(value, self._rq.retry):
                outcome, detail = TaskOutcome.RETRY, _retry_terms(value)
                value = value if call.pickled else PLACEHOLDER
            else:
                outcome = TaskOutcome.FINISHED
            body: bytes | str = encode_result(value, pickled=call.pickled, from_http=task.from_http)
        except ResultError as error:
            outcome, body, detail = TaskOutcome.FAILED, printable(str(error)), True
            if task.callbacks is not None:
                body = _callbacks_of(call).fail(error) or body
        except BaseException as error:  # noqa: BLE001 - the edge of the job: sys.exit() ends a job, not its executor
            if limits is not NO_LIMITS:
                note_limit(error, limits)
            outcome, body, detail = TaskOutcome.FAILED, format_traceback(error), _is_final(error, call.function)
            if task.callbacks is not None and _callbacks_of(call).has_timed_out(error):
                outcome = TaskOutcome.TIMEOUT
            if _is_rate_limited(error):
                refusal = _park(error, task, agent)
                if refusal is None:
                    # Back to the head of its lane, where it waits with the others.
                    outcome, detail = TaskOutcome.RETRY, [MAX_RETRY_NUMBER, [0], True]
                    body = encode_result(PLACEHOLDER, pickled=False, from_http=task.from_http)
                else:
                    body = printable(f"{body}\n{refusal}")
        return TaskReport(task.sequence, outcome, call.function, _seconds(started_ns), body, detail, call.version)

    def failed(self, task: Task, error: BaseException, started_ns: int) -> TaskReport:
        """Return the report on a job whose call could not be decoded."""
        seconds = _seconds(started_ns)
        if isinstance(error, Rejected):
            function, body = _short_name(error.function), printable(str(error))
            return TaskReport(task.sequence, TaskOutcome.REJECTED, function, seconds, body, None)
        # The import of the function's module has failed.
        function = _short_name(self._calls.named_function(task.data))
        body, permanent = format_traceback(error), is_permanent(error)
        return TaskReport(task.sequence, TaskOutcome.FAILED, function, seconds, body, permanent)

    def lost(self, task: Task, call: DecodedCall, message: str, started_ns: int) -> TaskReport:
        """Return the report on a job whose own process has ended without one."""
        if self._limits is not None:
            message += self._limits.of(call.function).hint()
        seconds = _seconds(started_ns)
        return TaskReport(task.sequence, TaskOutcome.LOST, call.function, seconds, message, None, call.version)


def _callbacks_of(call: DecodedCall) -> Any:
    """Return the `CallWithCallbacks` of a job that has callbacks."""
    return call.target


def withdrawn(task: Task) -> TaskReport:
    """Return the report on a job that has not run and goes back."""
    return TaskReport(task.sequence, TaskOutcome.WITHDRAWN, "", 0.0, b"", None)


def _is_rate_limited(error: BaseException) -> TypeGuard[Any]:
    # By its name: an executor imports that module only if a function does.
    kind = type(error)
    return kind.__name__ == "RateLimited" and kind.__module__ == "workmanager.job"


def _park(error: Any, task: Task, agent: AgentClient) -> str | None:
    """Let no job begin under the limit that the error names; return why that is not possible."""
    try:
        agent.query(task.sequence, "park", error.key, repr(error.seconds).encode())
    except RuntimeError as refusal:
        return f"RuntimeError: {refusal}"
    return None


def _is_final(error: BaseException, function: str) -> bool:
    """Return whether a retry cannot help. A built-in function raises these errors for its arguments alone."""
    return is_permanent(error) or (function in BUILT_IN and issubclass(type(error), _WRONG_ARGUMENTS))


def _seconds(started_ns: int) -> float:
    return (time.monotonic_ns() - started_ns) / 1e9


def _retry_terms(retry: Any) -> list[Any]:
    """Return the fields of a returned `rq.Retry`, as numbers that a frame can hold.

    Raises:
        ResultError: it has too many intervals.
    """
    if len(retry.intervals) > MAX_RETRY_INTERVALS:
        raise ResultError(f"the Retry has {len(retry.intervals)} intervals, the maximum is {MAX_RETRY_INTERVALS}")
    return [_bounded(retry.max), list(map(_bounded, retry.intervals)), bool(retry.enqueue_at_front)]


def _bounded(number: float) -> int:
    return max(0, min(int(number), MAX_RETRY_NUMBER))


def _short_name(function: str) -> str:
    """Return the name of a function that is not registered; a record can name anything."""
    return printable(function)[:MAX_NAME_CHARS]
