"""Make job records of submissions: parse the JSON, check limits and the function, serialise the arguments.

Hot path: see benchmarks/README.md#http_batch.
"""

import binascii
import time
from typing import Any

from pydantic import ValidationError

from jobqueue.functions import FunctionRegistry
from jobqueue.model import Dependency, Limit, NewJob
from manager.api_keys.limits import KeyLimiter
from manager.http.canonical_json import canonical_json
from manager.http.problems import INVALID, TOO_LARGE, Problem, validation_problem
from manager.schemas.callback_check import CallbackCheck
from manager.schemas.json_types import parse_instant
from manager.schemas.submission import Submission

MAX_META_BYTES = 64 * 1024
ENVELOPE_BYTES = 128 * 1024
"""Allowance in a body for everything but the job's binary data."""
HTTP_RETRY_INTERVALS = (1, 2, 4)
"""Default retry intervals of the function `http`, in seconds."""

LIST_OF_JOBS = (
    "body: a job is an object, and this is a list: send many as lines to POST /jobs/batch, one object in each"
)
_MAX_NAMED_FUNCTIONS = 20


class JobFactory:
    """Parses submissions and creates the records of their jobs.

    Args:
        functions: the functions that jobs can call.
        max_payload_bytes: limit of a job's binary data.
        callbacks: checks whom a job wants to be told of its end.
    """

    def __init__(self, functions: FunctionRegistry, max_payload_bytes: int, callbacks: CallbackCheck) -> None:
        self._functions = functions
        self._callbacks = callbacks
        self._max_payload_bytes = max_payload_bytes
        self.max_body_bytes = (max_payload_bytes + 2) // 3 * 4 + ENVELOPE_BYTES

    def parse(self, raw: bytes) -> Submission:
        """Return the submission in a JSON body.

        Raises:
            Problem: 400, 413 or 422.
        """
        if len(raw) > self.max_body_bytes:
            limit = self.max_body_bytes
            raise Problem(TOO_LARGE, f"a job's JSON must not exceed {limit} bytes", limit_bytes=limit)
        try:
            return Submission.model_validate_json(raw)
        except ValidationError as error:
            if raw.lstrip()[:1] == b"[":  # what programs try first that have many jobs
                raise Problem(INVALID, LIST_OF_JOBS) from error
            raise validation_problem(error) from error

    def create_job(self, submission: Submission, job_id: str, limiter: KeyLimiter | None = None) -> NewJob:
        """Return the record of a submission.

        Args:
            limiter: of the key that submits it.

        Raises:
            Problem: 413 or 422.
        """
        path = self._functions.path_of(submission.function)
        if path is None:
            raise self._unknown_function(submission.function)
        kwargs = submission.kwargs
        if submission.data is not None:
            _check_payload(submission.data, self._payload_limit(limiter))
            kwargs = {**kwargs, "data": submission.data}
        retries, intervals = _retries(submission)
        unique = submission.unique
        job = NewJob(
            id=job_id,
            function=submission.function,
            data=b'["%b",null,%b,%b]' % (path.encode(), _json("args", submission.args), _json("kwargs", kwargs)),
            queue=submission.queue,
            at_front=submission.order == "lifo",
            timeout_seconds=submission.timeout,
            result_ttl_seconds=submission.result_ttl,
            feed=submission.feed,
            retries=retries,
            retry_intervals=intervals,
            due_at=_due_at(submission),
            unique_key=None if unique is None else unique.key,
            unique_milliseconds=0 if unique is None else max(1, round(unique.within * 1000)),
            meta=_meta(submission),
            delay_seconds=submission.delay or None,
            isolation=submission.isolation,
            depends_on=_depends_on(submission),
            limits=_limits(submission),
            fair_key=submission.fair_key,
            callback=self._callback(submission),
            labels=canonical_json(submission.labels).decode() if submission.labels else None,
        )
        if limiter is not None and limiter.limits.payload_bytes is not None:
            _check_arguments(job, submission.data or "", limiter.limits.payload_bytes)
        return job

    def _callback(self, submission: Submission) -> str | None:
        asked = submission.callback
        if asked is not None:
            return self._callbacks.check("callback.url", asked.url, tuple(asked.events), tuple(asked.include))
        if submission.callback_url is not None:
            return self._callbacks.check("callback_url", submission.callback_url)
        return None

    def _payload_limit(self, limiter: KeyLimiter | None) -> int:
        return self._max_payload_bytes if limiter is None else limiter.payload_bytes(self._max_payload_bytes)

    def _unknown_function(self, function: str) -> Problem:
        unreadable = self._functions.why_unreadable(function)
        if unreadable is not None:
            return _invalid("function", f"{function!r} cannot be called: {unreadable}")
        names = self._functions.names
        known = ", ".join(names[:_MAX_NAMED_FUNCTIONS]) + (", …" if len(names) > _MAX_NAMED_FUNCTIONS else "")
        remedy = ""
        if "." in function and self._functions.module_of(function) is None:
            remedy = "; name its module in WORKMANAGER_FUNCTIONS of managers and workers"
        return _invalid("function", f"{function!r} is not registered{remedy}; registered functions: {known}")


def sha512_job(
    path: str, job_id: str, data: bytes, iterations: int, timeout_seconds: int, callback: str | None = None
) -> NewJob:
    """Return the record of `PUT /enqueue`, byte for byte that of a submission with the same function and arguments."""
    encoded = binascii.b2a_base64(data, newline=False)
    call = b'["%b",null,[],{"data":"%b","iterations":%d}]' % (path.encode(), encoded, iterations)
    return NewJob(id=job_id, function="sha512", data=call, timeout_seconds=timeout_seconds, callback=callback)


def _check_payload(data: str, limit: int) -> None:
    payload_bytes = len(data) // 4 * 3 - data.count("=", -2)
    if payload_bytes > limit:
        raise Problem(TOO_LARGE, f"data: must not exceed {limit} bytes", limit_bytes=limit)


def _check_arguments(job: NewJob, data: str, limit: int) -> None:
    """Check what a job carries besides its binary data."""
    if len(job.data) - len(data) + len(job.meta or b"") > limit:
        detail = f"arguments and meta must not exceed {limit} bytes as JSON, besides data"
        raise Problem(TOO_LARGE, detail, limit_bytes=limit)


def _retries(submission: Submission) -> tuple[int, tuple[int, ...]]:
    retry = submission.retry
    if retry is None:
        return (len(HTTP_RETRY_INTERVALS), HTTP_RETRY_INTERVALS) if submission.function == "http" else (0, ())
    # One interval per retry: RQ repeats the first if there are fewer, and starts in the middle if there are more.
    intervals = retry.intervals[: retry.max]
    if intervals:
        intervals += [intervals[-1]] * (retry.max - len(intervals))
    return retry.max, tuple(intervals)


def _due_at(submission: Submission) -> float | None:
    if submission.delay:
        return time.time() + submission.delay
    # The score of a sorted set: no job is due before the epoch.
    return None if submission.at is None else max(0.0, parse_instant(submission.at))


def _depends_on(submission: Submission) -> tuple[Dependency, ...] | None:
    if submission.depends_on is None:
        return None
    parents = submission.dependencies
    ids = {parent.parent_id for parent in parents}
    if len(ids) < len(parents):
        raise _invalid("depends_on", "names a job more than once")
    if submission.id in ids:
        raise _invalid("depends_on", "a job cannot wait for itself")
    return parents


def _limits(submission: Submission) -> tuple[Limit, ...]:
    if submission.limits is None:
        return ()
    limits = tuple(each.limit(each.key) for each in submission.limits)
    if len({limit.key for limit in limits}) < len(limits):
        raise _invalid("limits", "has a key more than once")
    return limits


def _meta(submission: Submission) -> bytes | None:
    if submission.meta is None:
        return None
    meta = _json("meta", submission.meta)
    if len(meta) > MAX_META_BYTES:
        raise _invalid("meta", f"must not exceed {MAX_META_BYTES} bytes as JSON")
    return meta


def _json(field: str, value: Any) -> bytes:
    try:
        return canonical_json(value)
    except ValueError as error:
        raise _invalid(field, "contains NaN or a number too large for JSON") from error


def _invalid(field: str, message: str) -> Problem:
    return Problem(INVALID, f"{field}: {message}", errors=[{"field": field, "message": message}])
