"""Views of jobs: their records as users see them, by id.

A record or value that cannot be read is shown with the reason. It never keeps others from being shown.
"""

import json
import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobqueue import keys
from jobqueue.error_message import error_message
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.arguments import LISTED, MAX_SHOWN_CALL_BYTES, is_hidden, show_arguments
from jobqueue.inspection.hidden_errors import without_values
from jobqueue.inspection.stored_jobs import ReadLimits, StoredJob, read_jobs
from jobqueue.json_text import json_object, why_not_shown
from jobqueue.lifecycle.dependencies import stored_dependencies
from jobqueue.lifecycle.notes import told_progress
from jobqueue.model import (
    ISOLATED,
    RQ_TIMEOUT_SECONDS,
    CallbackNote,
    FailureReason,
    JobError,
    JobView,
    ResultNote,
    Status,
)
from jobqueue.rq_call import PICKLE_START, called_path, requested_function
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, name_of, shown_name, text_of
from jobqueue.timestamps import iso

MAX_TRACEBACK_BYTES = 1024 * 1024
"""How much of a traceback is read. Some kilobytes in Redis can hold gigabytes."""
MAX_META_BYTES = 1024 * 1024
"""Maximum size of the notes that are shown."""
MAX_READ_BYTES = 64 * 1024 * 1024
"""How much one call reads of whole jobs, each of which is bounded already."""
MAX_DEPENDENCIES = 1_000
MAX_ID_CHARACTERS = 256
WHOLE = ReadLimits(meta=MAX_META_BYTES, call=MAX_SHOWN_CALL_BYTES, calls_of_all=True, result=16 * 1024 * 1024)
"""What is read of a job that is shown alone. A result has at most 1 MiB, but the last ones of a job lie together."""
LISTED_PART = ReadLimits(meta=64 * 1024, call=4 * 1024, calls_of_all=False, result=64 * 1024)
"""What is read of a job in a listing."""
PICKLED_RESULT = (
    "the result is a pickle, which managers do not read: use an RQ client, "
    "rq.job.Job.fetch(ID, connection=…).return_value()"
)
LARGE_RESULT = "left out because of its size: GET /jobs/ID shows results of up to 1 MiB"
PICKLED_META = (
    "the meta is a pickle, which managers do not read: use an RQ client, rq.job.Job.fetch(ID, connection=…).get_meta()"
)
LARGE_META = "GET /jobs/ID shows up to 1 MiB"
LARGE_ERROR = "left out of the listing because of its size: GET /jobs/ID shows it"
FOREIGN_RESULT = "written by another program in a form that cannot be shown: read the newest entry of the job's results"
_STATUSES = frozenset(Status)


async def view_jobs(
    shard: Shard, job_ids: Sequence[str], functions: FunctionRegistry, *, hide_arguments_of: Sequence[str] = ()
) -> list[JobView | None]:
    """Return jobs of one shard as users see them, with all that is shown; None for each that does not exist.

    Args:
        hide_arguments_of: patterns of functions whose arguments, and texts of exceptions, are not shown.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    views: list[JobView | None] = []
    while len(views) < len(job_ids):
        rest = job_ids[len(views) :]
        for job_id, stored in zip(rest, await read_jobs(shard, rest, WHOLE, MAX_READ_BYTES), strict=False):
            view = _view_stored(job_id, stored, functions, hide_arguments_of)
            if view is not None and stored is not None and not view.unreadable:
                shown = show_arguments(
                    stored.fields.get("data", b""),
                    stored.call_bytes,
                    _names(view, stored, functions),
                    hide_arguments_of,
                )
                view = replace(view, args=shown.args, kwargs=shown.kwargs, arguments_note=shown.note)
            views.append(view)
    return views


async def list_views(
    shard: Shard,
    job_ids: Sequence[str],
    functions: FunctionRegistry,
    max_bytes: int,
    *,
    hide_arguments_of: Sequence[str] = (),
) -> list[JobView | None]:
    """Return the first of these jobs as a listing shows them, until about `max_bytes` are read.

    Calls, long notes and large results are neither read nor shown.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    stored_jobs = await read_jobs(shard, job_ids, LISTED_PART, max_bytes) if job_ids else []
    return [
        _view_stored(job_id, stored, functions, hide_arguments_of)
        for job_id, stored in zip(job_ids, stored_jobs, strict=False)
    ]


async def read_queues(shard: Shard, job_ids: Sequence[str]) -> list[str | None]:
    """Return the queues of jobs of one shard, as `name_of` does; None for each that does not exist, or names none.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    return [None if answer is None else name_of(answer) for answer in await _read_field(shard, job_ids, "origin")]


@dataclass(frozen=True, slots=True)
class JobState:
    """What changes while a job runs; the status is '' and the queue None if there is no such job."""

    status: str
    queue: str | None
    progress: Mapping[str, Any] | None


async def read_progress(shard: Shard, job_id: str) -> JobState:
    """Return how far a job is.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    key = keys.job(shard.prefix, job_id)
    (found,) = await shard.execute(("HMGET", key, "status", "origin", "wm_progress"), tolerate_wrong_types=True)
    status, queue, progress = found or (None, None, None)
    return JobState(text_of(status or b""), None if queue is None else name_of(queue), _progress(progress))


async def read_statuses(shard: Shard, job_ids: Sequence[str]) -> list[str | None]:
    """Return the statuses of jobs of one shard; None for each that does not exist.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    return [None if answer is None else text_of(answer) for answer in await _read_field(shard, job_ids, "status")]


async def read_queues_and_statuses(shard: Shard, job_ids: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """Return queue and status of jobs of one shard, as `read_queues` and `read_statuses` do.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    commands = [("HMGET", keys.job(shard.prefix, job_id), "origin", "status") for job_id in job_ids]
    answers = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    return [
        (None if origin is None else name_of(origin), None if status is None else text_of(status))
        for origin, status in (answer or (None, None) for answer in answers)
    ]


async def find_ended(shard: Shard, job_ids: Sequence[str]) -> list[str]:
    """Return those of these jobs of one shard that have ended or do not exist, in order.

    If few of them have ended, it costs a manager an eighth of the time that reading their statuses takes.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    return [job_ids[place - 1] for place in await shard.run(script("find_ended"), *job_ids)]


async def _read_field(shard: Shard, job_ids: Sequence[str], field: str) -> list[bytes | None]:
    commands = [("HGET", keys.job(shard.prefix, job_id), field) for job_id in job_ids]
    return await shard.execute(*commands, tolerate_wrong_types=True)


def _view_stored(
    job_id: str, stored: StoredJob | None, functions: FunctionRegistry, hidden: Sequence[str]
) -> JobView | None:
    job_id = shown_name(job_id)
    if stored is None:
        return _unreadable(job_id, {}, "its key in Redis is no hash")
    if not stored.exists:
        return None
    view = _view(job_id, stored, functions)
    if view.error is None or not hidden or not is_hidden(_names(view, stored, functions), hidden):
        return view
    message, traceback = without_values(view.error.reason, view.error.message, view.error.traceback)
    return replace(view, error=JobError(view.error.reason, message, traceback))


def _names(view: JobView, stored: StoredJob, functions: FunctionRegistry) -> list[str]:
    """Return the public name and the import path of the function that a job calls."""
    name = view.function or ""
    return [name, called_path(stored.fields.get("data", b"")) or functions.paths.get(name, "")]


def _view(job_id: str, stored: StoredJob, functions: FunctionRegistry) -> JobView:
    fields, result = stored.fields, stored.result
    status = text_of(fields.get("status", b"created"))
    if status not in _STATUSES:
        return _unreadable(job_id, fields, f"it has the unknown status {status[:80]!r}")
    started_at, ended_at = _text(fields, "started_at"), _text(fields, "ended_at")
    value, problem, note = _result(stored) if status == Status.FINISHED else (None, "", None)
    timeout_seconds = integer_of(fields.get("timeout"), RQ_TIMEOUT_SECONDS, lowest=-1)
    meta, meta_note = _meta(stored)
    error = _error(status, fields, result)
    if error is not None and stored.left_out_result_bytes:
        error = replace(error, message=LARGE_ERROR)
    return JobView(
        id=job_id,
        function=_function(fields, functions),
        queue=_text(fields, "origin") or "",
        status=status,
        result=value,
        error=error or (JobError(FailureReason.REJECTED, problem, "") if problem else None),
        attempts=integer_of(fields.get("wm_attempts"), 1 if started_at else 0),
        created_at=_text(fields, "created_at"),
        enqueued_at=_text(fields, "enqueued_at"),
        started_at=started_at,
        ended_at=ended_at if Status(status).ended else None,
        worker=_text(fields, "worker_name"),
        meta=meta,
        arguments_note=LISTED,
        timeout_seconds=None if timeout_seconds < 0 else timeout_seconds,
        retries_left=integer_of(fields.get("retries_left")),
        due_at=None if stored.due_at is None else _iso(stored.due_at),
        depends_on=_dependencies(fields),
        progress=_progress(fields.get("wm_progress")),
        result_note=note,
        meta_note=meta_note,
        version=text_of(result.get(b"wm_version", b"")) or None,
        isolation=ISOLATED if fields.get("wm_isolation") == ISOLATED.encode() else None,
        labels=_labels(fields),
        callback=_callback(fields),
    )


def _callback(fields: Mapping[str, bytes]) -> CallbackNote | None:
    raw = fields.get("wm_callback")
    if raw is None:
        return None
    try:
        asked = json.loads(raw)
        host, events = str(asked["host"]), tuple(map(str, asked["events"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return CallbackNote(host, events, _text(fields, "wm_callback_last"))


def _iso(due_at: float) -> str | None:
    try:
        return iso(due_at)
    except (ValueError, OverflowError, OSError):
        return None


def _dependencies(fields: Mapping[str, bytes]) -> tuple[str, ...]:
    # Halves of surrogate pairs cannot be encoded.
    ids = _dependency_ids(fields)[:MAX_DEPENDENCIES]
    return tuple(each[:MAX_ID_CHARACTERS].encode("utf-8", "replace").decode() for each in ids)


def _dependency_ids(fields: Mapping[str, bytes]) -> list[str]:
    if "wm_depends_on" in fields:
        return [parent for parent, _ in stored_dependencies(fields["wm_depends_on"])]
    encoded = fields.get("dependency_ids")
    if encoded is None:
        return [text_of(fields["dependency_id"])] if "dependency_id" in fields else []
    try:
        ids = json.loads(encoded)
    except (ValueError, RecursionError):
        return []
    return list(map(str, ids)) if isinstance(ids, list) else []


def _labels(fields: Mapping[str, bytes]) -> Mapping[str, str]:
    labels = json_object(fields["wm_labels"]) if "wm_labels" in fields else None
    return {name: value for name, value in (labels or {}).items() if isinstance(value, str)}


def _progress(encoded: bytes | None) -> Mapping[str, Any] | None:
    told = told_progress(encoded)
    return None if told is None else {"at": 0.0, **told}


def _unreadable(job_id: str, fields: Mapping[str, bytes], reason: str) -> JobView:
    return JobView(
        id=job_id,
        # RQ's description has the arguments, too.
        function=(_text(fields, "description") or "").split("(", 1)[0] or None,
        queue=_text(fields, "origin") or "",
        status=Status.FAILED,
        result=None,
        error=JobError(FailureReason.REJECTED, f"the job's record cannot be read: {reason}", ""),
        attempts=0,
        created_at=_text(fields, "created_at"),
        enqueued_at=_text(fields, "enqueued_at"),
        started_at=None,
        ended_at=None,
        worker=_text(fields, "worker_name"),
        meta=None,
        unreadable=True,
    )


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return text_of(fields[name]) if fields.get(name) else None


def _function(fields: Mapping[str, bytes], functions: FunctionRegistry) -> str | None:
    if "wm_feed" in fields:
        return _text(fields, "description")
    # Pickled calls are not read here, but RQ's description of the call starts with the function.
    description = _text(fields, "description") or ""
    described = description.split("(", 1)[0]
    return requested_function(fields.get("data", b""), functions) or functions.name_of(described) or described or None


def _result(stored: StoredJob) -> tuple[bytes | None, str, ResultNote | None]:
    """Return the result as JSON text; if it cannot be shown, why not, and what is known about it."""
    if stored.left_out_result_bytes:
        kind = "json" if "wm_feed" in stored.fields else "unknown"
        return None, "", ResultNote(kind, stored.left_out_result_bytes, LARGE_RESULT)
    value = stored.result.get(b"return_value")
    if value is None:
        return None, "", None
    try:
        raw = b64decode(value)
    except ValueError:
        problem = "the result cannot be shown: it is not in base64"
        return None, problem, ResultNote("unknown", len(value), FOREIGN_RESULT)
    if raw.startswith(PICKLE_START):
        return None, "", ResultNote("pickle", len(raw), PICKLED_RESULT)
    problem = why_not_shown(raw)
    if problem:
        return None, f"the result cannot be shown: {problem}", ResultNote("unknown", len(raw), FOREIGN_RESULT)
    return raw, "", None


def _error(status: str, fields: Mapping[str, bytes], entry: Mapping[bytes, bytes]) -> JobError | None:
    note = _text(fields, "wm_note")
    if note is not None:
        is_child = status == Status.CANCELED and fields.get("wm_reason") == FailureReason.DEPENDENCY_FAILED.encode()
        return JobError(FailureReason.DEPENDENCY_FAILED if is_child else FailureReason.REJECTED, note, "")
    if status != Status.FAILED:
        return None
    encoded = entry.get(b"exc_string")
    traceback = _traceback(encoded) if encoded else ""
    reason = _text(fields, "wm_reason") or FailureReason.EXCEPTION
    return JobError(str(reason), error_message(traceback), traceback)


def _traceback(encoded: bytes) -> str:
    try:
        stream = zlib.decompressobj()
        return stream.decompress(b64decode(encoded[:MAX_TRACEBACK_BYTES]), MAX_TRACEBACK_BYTES).decode(
            "utf-8", "replace"
        )
    except (ValueError, zlib.error):
        return "the traceback cannot be read"


def _meta(stored: StoredJob) -> tuple[Mapping[str, Any] | None, str | None]:
    """Return the notes; if they cannot be shown, why not."""
    raw = stored.fields.get("meta", b"")
    if stored.meta_bytes != len(raw):
        return None, f"left out because of its {stored.meta_bytes} bytes: {LARGE_META}"
    if not raw:
        return {}, None
    if raw.startswith(PICKLE_START):
        return None, PICKLED_META
    problem = why_not_shown(raw)
    if problem:
        return None, f"the meta cannot be shown: {problem}"
    meta = json.loads(raw.decode())
    if not isinstance(meta, dict):
        return None, "the meta cannot be shown: it is no JSON object"
    try:
        json.dumps(meta, allow_nan=False)
    except ValueError:
        return None, "the meta cannot be shown: it has a number that is too large"
    return meta, None
