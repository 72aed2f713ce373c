"""Check a job as a manager does, so that a test refuses what a live system refuses, and in its words.

The client has no part of a manager, which `manager/schemas/submission.py` is; a test compares the answers of both.
"""

import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from workmanager.errors import ClientError
from workmanager.inline.callback_target import callback_host
from workmanager.inline.checks import Check, Refused, array, boolean, choice, fields, integer, mapping, number, text

ID_PATTERN = "[A-Za-z0-9_-]{1,64}"
MAX_ITERATIONS = 1_000_000_000
MAX_META_BYTES = 64 * 1024
YEAR_SECONDS = 365 * 24 * 3600
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_EXCLUSIVE = {
    ("id", "unique"): "'id' and 'unique'",
    ("delay", "at"): "'delay' and 'at'",
    ("depends_on", "delay"): "'depends_on' and 'delay' or 'at'",
    ("depends_on", "at"): "'depends_on' and 'delay' or 'at'",
    ("callback", "callback_url"): "'callback' and 'callback_url'",
}


def refusal(field: str, message: str) -> ClientError:
    """Return the error that a live client raises for a manager's answer 422 about a field; '' for the whole job."""
    detail = f"{field or 'body'}: {message}"
    problem = {
        "type": "urn:workmanager:problem:invalid",
        "title": "The body is not valid",
        "status": HTTPStatus.UNPROCESSABLE_ENTITY.value,
        "detail": detail,
        "errors": [{"field": field, "message": message}],
    }
    return ClientError(f"{detail} (HTTP 422)", HTTPStatus.UNPROCESSABLE_ENTITY, problem)


def check_submission(job: Mapping[str, Any], is_known: Callable[[str], bool]) -> None:
    """Check a job as it is sent, but not whether its function is registered.

    Args:
        is_known: whether there is a job with this id.

    Raises:
        ClientError: 422, what a manager refuses.
    """
    try:
        _SUBMISSION("", job)
        _check_together(job)
        _check_parents(job, is_known)
    except Refused as error:
        raise refusal(error.field, error.message) from None


def check_enqueue(iterations: Any, timeout: Any, job_id: Any) -> None:
    """Check the query of `PUT /enqueue`; a parameter that is None is not sent.

    Raises:
        ClientError: 400, what a manager refuses.
    """
    for name, value, most in (("iterations", iterations, MAX_ITERATIONS), ("timeout", timeout, YEAR_SECONDS)):
        if value is not None and not (type(value) is int and 1 <= value <= most):
            raise _query_refusal(name, f"must be an integer from 1 to {most}", value)
    if job_id is not None and not re.fullmatch(ID_PATTERN, str(job_id), re.ASCII):
        raise _query_refusal("id", f"must match {ID_PATTERN}", job_id)


def _query_refusal(name: str, message: str, value: Any) -> ClientError:
    detail = f"{name}: {message}, not {str(value)[:80]!r}"
    problem = {
        "type": "urn:workmanager:problem:bad-query",
        "title": "A query parameter is invalid",
        "status": HTTPStatus.BAD_REQUEST.value,
        "detail": detail,
        "parameter": name,
    }
    return ClientError(f"{detail} (HTTP 400)", HTTPStatus.BAD_REQUEST, problem)


def _parent(place: str, value: Any) -> None:
    _PARENT(place, {"id": value} if isinstance(value, str) else value)


def _base64(place: str, value: Any) -> None:
    text()(place, value)
    try:
        binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise Refused(place, "must be standard base64 with padding") from None


def _instant(place: str, value: Any) -> None:
    text()(place, value)
    try:
        if not _INSTANT.fullmatch(value):
            raise ValueError(value)
        datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", value.upper())).timestamp()
    except ValueError:
        raise Refused(place, "must be an RFC 3339 time with a time zone") from None


def _queue(place: str, value: Any) -> None:
    text("[A-Za-z0-9_.-]{1,64}")(place, value)
    if value in (".", ".."):
        raise Refused(place, "must not be . or ..: clients take these out of URLs, so nobody could pause the queue")


def _limit(place: str, value: Any) -> None:
    _LIMIT(place, value)
    if value.get("concurrency") is None and value.get("rate") is None:
        raise Refused(place, "a limit has a 'concurrency' or a 'rate'")
    if value.get("burst") is not None and value.get("rate") is None:
        raise Refused(place, "'burst' needs a 'rate'")


def _check_together(job: Mapping[str, Any]) -> None:
    for names, subject in _EXCLUSIVE.items():
        if all(job.get(name) not in (None, []) for name in names):
            raise Refused("", f"{subject} exclude each other")
    if "data" in job and "data" in job.get("kwargs", {}):
        raise Refused("", "'data' and 'kwargs.data' exclude each other")
    keys = [limit["key"] for limit in job.get("limits", ())]
    if len({*keys}) < len(keys):
        raise Refused("limits", "has a key more than once")
    meta = json.dumps(job.get("meta"), separators=(",", ":"), ensure_ascii=False)
    if len(meta.encode(errors="replace")) > MAX_META_BYTES:
        raise Refused("meta", f"must not exceed {MAX_META_BYTES} bytes as JSON")
    for field, url in (("callback.url", job.get("callback", {}).get("url")), ("callback_url", job.get("callback_url"))):
        if url is not None:
            try:
                callback_host(url)
            except ValueError as error:
                raise Refused(field, str(error)) from None


def _check_parents(job: Mapping[str, Any], is_known: Callable[[str], bool]) -> None:
    ids = [parent if isinstance(parent, str) else parent["id"] for parent in job.get("depends_on", ())]
    if len({*ids}) < len(ids):
        raise Refused("depends_on", "names a job more than once")
    for parent_id in ids:
        if parent_id == job.get("id"):
            raise Refused("depends_on", "a job cannot wait for itself")
        if not is_known(parent_id):
            raise Refused("depends_on", f"there is no job with the id {parent_id!r} to wait for")


_SECONDS = integer(0, YEAR_SECONDS)
_KEY = text("[A-Za-z0-9_.:@-]{1,128}")
_CALLBACK_URL = text(least=1, most=2048)
_PARENT = fields(
    {"id": text(r"[^\x00-\x1f\x7f:]{1,256}"), "when": choice("finished", "ended")},
    required=("id",),
)
_LIMIT = fields(
    {
        "concurrency": integer(0, 1_000_000),
        "rate": text("[1-9][0-9]{0,6}/([1-9][0-9]{0,4})?[smhd]"),
        "burst": integer(1, 1_000_000),
        "key": _KEY,
    },
    required=("key",),
)
_CALLBACK = fields(
    {
        "url": _CALLBACK_URL,
        "events": array(choice("finished", "failed", "stopped", "canceled"), least=1, most=4),
        "include": array(choice("result"), most=1),
    },
    required=("url",),
)
_FIELDS: Mapping[str, Check] = {
    "function": text(least=1, most=256),
    "args": array(),
    "kwargs": mapping(),
    "data": _base64,
    "queue": _queue,
    "order": choice("fifo", "lifo"),
    "timeout": integer(1, YEAR_SECONDS),
    "retry": fields({"max": integer(0, 100), "intervals": array(_SECONDS, most=100)}, required=("max",)),
    "unique": fields(
        {"key": text(least=1, most=256), "within": number(above=0, most=YEAR_SECONDS)}, required=("key", "within")
    ),
    "delay": number(least=0, most=YEAR_SECONDS),
    "at": _instant,
    "result_ttl": _SECONDS,
    "feed": boolean,
    "isolation": choice("job"),
    "depends_on": array(_parent, most=1000),
    "callback": _CALLBACK,
    "callback_url": _CALLBACK_URL,
    "limits": array(_limit, most=8),
    "fair_key": _KEY,
    "labels": mapping(
        text("[A-Za-z0-9_.-]{1,64}"),
        text(r"[^\x00-\x1f\x7f]{1,128}"),
        most=8,
    ),
    "meta": mapping(),
    "id": text(ID_PATTERN),
}
_SUBMISSION = fields(_FIELDS, required=("function",))
