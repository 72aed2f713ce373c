"""Errors of a job's attempts: why each failed, not only the last.

Scripts keep the errors of attempts that were followed by another in the job's field `wm_errors` (_outcomes.lua).
"""

import json
import zlib
from base64 import b64decode
from dataclasses import dataclass, replace
from typing import Any

from jobqueue import keys
from jobqueue.error_message import error_message
from jobqueue.inspection.arguments import HIDDEN
from jobqueue.inspection.hidden_errors import without_values
from jobqueue.job_view import JobView
from jobqueue.model import FailureReason, Status
from jobqueue.sharding.shard import Shard

MAX_READ_BYTES = 256 * 1024
"""Scripts write at most 64 KiB; a longer field comes from another program."""
MAX_TRACEBACK_BYTES = 256 * 1024
WORKER_LOST = "the worker was lost while it ran the job"

_HAVE_NO_EARLIER_ATTEMPT = (Status.STARTED, Status.FINISHED, Status.FAILED, Status.STOPPED)


@dataclass(frozen=True, slots=True)
class AttemptError:
    """Why one attempt failed.

    Attributes:
        ended_at: RQ's timestamp.
        reason, message, traceback: as in `JobError`.
    """

    ended_at: str | None
    worker: str | None
    reason: str
    message: str
    traceback: str


async def read_attempt_errors(shard: Shard, job: JobView) -> list[AttemptError]:
    """Return the errors of a job's attempts that are kept, the first attempt first.

    Nothing is read if the job cannot have been retried.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    errors = await _earlier_errors(shard, job.id) if _can_have_been_retried(job) else []
    if job.arguments_note == HIDDEN:
        errors = [_without_values(error) for error in errors]
    if job.error is not None and job.status == Status.FAILED and job.attempts > 0:
        last = job.error
        errors.append(AttemptError(job.ended_at, job.worker, last.reason, last.message, last.traceback))
    return errors


def _without_values(error: AttemptError) -> AttemptError:
    message, traceback = without_values(error.reason, error.message, error.traceback)
    return replace(error, message=message, traceback=traceback)


def _can_have_been_retried(job: JobView) -> bool:
    return job.attempts > 1 or (job.attempts == 1 and job.status not in _HAVE_NO_EARLIER_ATTEMPT)


async def _earlier_errors(shard: Shard, job_id: str) -> list[AttemptError]:
    key = keys.job(shard.prefix, job_id)
    (size,) = await shard.execute(("HSTRLEN", key, "wm_errors"))
    if not 0 < size <= MAX_READ_BYTES:
        return []
    (lines,) = await shard.execute(("HGET", key, "wm_errors"))
    errors = [_parse(line) for line in (lines or b"").splitlines()]
    return [error for error in errors if error is not None]


def _parse(line: bytes) -> AttemptError | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    reason = _text(fields, "reason") or FailureReason.EXCEPTION
    traceback = _traceback(_text(fields, "trace"))
    if not traceback and reason == FailureReason.WORKER_LOST:
        traceback = WORKER_LOST
    ended_at, worker = _text(fields, "ended_at") or None, _text(fields, "worker") or None
    return AttemptError(ended_at, worker, str(reason), error_message(traceback), traceback)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _traceback(encoded: str) -> str:
    try:
        plain = zlib.decompressobj().decompress(b64decode(encoded), MAX_TRACEBACK_BYTES) if encoded else b""
    except (ValueError, zlib.error):
        return "the traceback cannot be read"
    return plain.decode("utf-8", "replace")
