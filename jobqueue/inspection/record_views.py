"""From the parts of a record that were read to a job as users see it.

A value that cannot be read is shown with the reason. It never keeps others from being shown.
"""

import json
import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobqueue.error_message import error_message
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.arguments import LISTED, is_hidden
from jobqueue.inspection.hidden_errors import without_values
from jobqueue.inspection.stored_jobs import StoredJob
from jobqueue.job_view import CallbackNote, JobError, JobView, ResultNote
from jobqueue.json_text import json_object, why_not_shown
from jobqueue.lifecycle.dependencies import stored_dependencies
from jobqueue.lifecycle.notes import told_progress
from jobqueue.model import ISOLATED, RQ_TIMEOUT_SECONDS, FailureReason, Status
from jobqueue.rq_call import PICKLE_START, called_path, requested_function
from jobqueue.stored_values import integer_of, shown_name, text_of
from jobqueue.timestamps import iso

MAX_TRACEBACK_BYTES = 1024 * 1024
"""How much of a traceback is read. Some kilobytes in Redis can hold gigabytes."""
MAX_DEPENDENCIES = 1_000
MAX_ID_CHARACTERS = 256
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


def view_stored(
    job_id: str, stored: StoredJob | None, functions: FunctionRegistry, hidden: Sequence[str]
) -> JobView | None:
    """Return a job as users see it, without its arguments; None if there is no such job.

    Args:
        stored: None if its key in Redis is no hash.
        hidden: patterns of functions whose exceptions' texts are not shown.
    """
    job_id = shown_name(job_id)
    if stored is None:
        return _unreadable(job_id, {}, "its key in Redis is no hash")
    if not stored.exists:
        return None
    view = _view(job_id, stored, functions)
    if view.error is None or not hidden or not is_hidden(names_of(view, stored, functions), hidden):
        return view
    message, traceback = without_values(view.error.reason, view.error.message, view.error.traceback)
    return replace(view, error=JobError(view.error.reason, message, traceback))


def names_of(view: JobView, stored: StoredJob, functions: FunctionRegistry) -> list[str]:
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
        progress=told_progress(fields.get("wm_progress")),
        result_note=note,
        meta_note=meta_note,
        version=text_of(result.get(b"wm_version", b"")) or None,
        isolation=ISOLATED if fields.get("wm_isolation") == ISOLATED.encode() else None,
        labels=_labels(fields),
        callback=_callback(fields),
        workflow=_text(fields, "wm_workflow"),
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
