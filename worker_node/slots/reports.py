"""Checks on what executors send: a job can write anything to its executor's sockets.

A message is taken only if it is whole and bounded, and says nothing that the agent knows to be wrong.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]  # It has no types.

from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import FunctionRegistry
from jobqueue.model import MAX_RESULT_BYTES
from jobqueue.rq_call import called_path, requested_function
from worker_node.ipc.protocol import (
    MAX_FIELD_CHARS,
    MAX_META_BYTES,
    MAX_NAME_CHARS,
    MAX_PATH_CHARS,
    MAX_RETRY_INTERVALS,
    MAX_RETRY_NUMBER,
    MAX_TEXT_CHARS,
    Query,
    TaskOutcome,
    TaskReport,
)

MAX_REMEMBERED = 10_000
"""How many functions are remembered with the first bytes of their jobs' data."""
SMALL_BYTES = 4096
"""A message of this size can hold nothing that is large when it is unpacked."""
_OPERATIONS = frozenset({"hget", "hgetall", "hset", "parents", "parent", "progress", "log", "park"})
_VERSION = re.compile(r"[0-9a-f]{1,64}")


class ProtocolError(Exception):
    """An executor has sent what it never sends by itself; the message says what."""


class ReportChecker:
    """Reads reports, and compares them with what the agent knows of the job.

    Args:
        functions: names the function that a job asks for.
    """

    def __init__(self, functions: FunctionRegistry) -> None:
        self._functions = functions
        self._starts: dict[str, bytes] = {}

    def check(self, report: TaskReport, job: ClaimedJob, most_seconds: float) -> None:
        """Compare a report with its job.

        Args:
            most_seconds: how long the job can have run.

        Raises:
            ProtocolError: it does not fit.
        """
        if not 0.0 <= report.seconds <= most_seconds:  # Not a number fails, too.
            raise ProtocolError(f"a run time of {report.seconds} s, at most {most_seconds:.3f} are possible")
        if not job.data.startswith(self._starts.get(report.function, b"?")):
            self._check_function(report, job)

    def function_of(self, job: ClaimedJob, hint: str) -> str:
        """Return the public name of the function that a job asks for; for a pickled one, what its executor says."""
        return requested_function(job.data, self._functions)[:MAX_NAME_CHARS] or hint

    def _check_function(self, report: TaskReport, job: ClaimedJob) -> None:
        path = called_path(job.data)
        if not path or not report.function:
            return  # Pickled, or not readable: only the executor can tell.
        name = self._functions.name_of(path)
        expected = name or path
        if report.function not in (expected, expected[:MAX_NAME_CHARS]):
            raise ProtocolError(f"the function {report.function[:MAX_NAME_CHARS]!r}, not {expected!r}")
        start = json.dumps([path])[:-1].encode() + b","
        if name is not None and report.outcome == TaskOutcome.FINISHED and job.data.startswith(start):
            if len(self._starts) >= MAX_REMEMBERED:
                self._starts.clear()
            self._starts[name] = start


def is_version(text: str) -> bool:
    """Return whether a text can be the hash of a module's source."""
    return _VERSION.fullmatch(text) is not None


def read_report(payload: bytes) -> TaskReport:
    """Read a report.

    Raises:
        ProtocolError: it is no report.
    """
    fields = _unpack(payload)
    if type(fields) is not list or len(fields) != 8:
        raise ProtocolError("no report")
    sequence, number, function, seconds, body, detail, version, output = fields
    outcome, fits = _OUTCOMES.get(number, _NO_OUTCOME) if type(number) is int else _NO_OUTCOME
    if not (
        type(sequence) is int
        and type(function) is str
        and type(seconds) is float
        and type(version) is str
        and len(function) <= MAX_PATH_CHARS
        and (not version or _VERSION.fullmatch(version))
        and (output is None or _is_output(output))
        and fits(body, detail)
    ):
        raise ProtocolError("a report with values of the wrong type or size")
    return TaskReport(sequence, outcome, function, seconds, body, detail, version, output)


def read_query(payload: bytes) -> Query:
    """Read a query.

    Raises:
        ProtocolError: it is no query.
    """
    fields = _unpack(payload)
    if type(fields) is not list or list(map(type, fields)) != [int, int, str, str, bytes]:
        raise ProtocolError("no query")
    query = Query(*fields)
    if (
        query.operation not in _OPERATIONS
        or len(query.field) > MAX_FIELD_CHARS
        or len(query.value) > MAX_META_BYTES
        or not 0 <= query.number < 1 << 63
    ):
        raise ProtocolError("a query with values that are unknown or too large")
    return query


def _unpack(payload: bytes) -> Any:
    try:
        if len(payload) <= SMALL_BYTES:
            return msgpack.unpackb(payload)  # It takes a fifth of the time without limits.
        return msgpack.unpackb(payload, max_array_len=MAX_RETRY_INTERVALS, max_map_len=0, max_ext_len=0)
    except Exception as error:  # Whatever msgpack raises for bytes that a job has made up.
        raise ProtocolError(f"no message: {type(error).__name__}: {error}") from error


def _is_output(output: Any) -> bool:
    return type(output) is list and len(output) == 4 and all(type(at) is int and at >= 0 for at in output)


def _is_finished(body: Any, detail: Any) -> bool:
    return detail is None and _is_result(body)


def _is_failed(body: Any, detail: Any) -> bool:
    return type(detail) is bool and _is_text(body)


def _is_refused(body: Any, detail: Any) -> bool:
    return detail is None and _is_text(body)


def _is_retry(body: Any, detail: Any) -> bool:
    return _are_retry_terms(detail) and _is_result(body)


def _is_withdrawn(body: Any, detail: Any) -> bool:
    return detail is None and type(body) is bytes and not body


def _is_nothing(body: Any, detail: Any) -> bool:
    return False


def _is_text(body: Any) -> bool:
    return type(body) is str and len(body) <= MAX_TEXT_CHARS


def _is_result(body: Any) -> bool:
    if type(body) is not bytes:
        return False
    try:
        return len(a2b_base64(body, strict_mode=True)) <= MAX_RESULT_BYTES
    except Base64Error:
        return False


def _are_retry_terms(detail: Any) -> bool:
    if type(detail) is not list or list(map(type, detail)) != [int, list, bool]:
        return False
    most, intervals, _ = detail
    return len(intervals) <= MAX_RETRY_INTERVALS and all(
        type(number) is int and 0 <= number <= MAX_RETRY_NUMBER for number in (most, *intervals)
    )


_OUTCOMES: dict[int, tuple[TaskOutcome, Callable[[Any, Any], bool]]] = {
    0: (TaskOutcome.FINISHED, _is_finished),
    1: (TaskOutcome.FAILED, _is_failed),
    2: (TaskOutcome.REJECTED, _is_refused),
    3: (TaskOutcome.RETRY, _is_retry),
    4: (TaskOutcome.WITHDRAWN, _is_withdrawn),
    5: (TaskOutcome.LOST, _is_refused),
    6: (TaskOutcome.TIMEOUT, _is_failed),
}
"""What the body and the detail of a report must be, by the number of its outcome."""
_NO_OUTCOME = (TaskOutcome.FAILED, _is_nothing)
"""For any other number."""
