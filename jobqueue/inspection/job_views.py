"""Views of jobs: their records as users see them, by id."""

import json
import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

from jobqueue import keys
from jobqueue.functions import FunctionRegistry
from jobqueue.model import FailureReason, JobError, JobView, Status
from jobqueue.rq_call import requested_function
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards


async def find_shard(shards: Shards, job_id: str) -> Shard | None:
    """Return the shard that holds the job, or None if no shard does.

    That is the shard that the id hashes to, unless a plain RQ client has written the job to another one.

    Raises:
        ShardUnavailable: a shard that may hold it is unavailable.
    """
    home = shards.of(job_id)
    for shard in (home, *(other for other in shards if other is not home)):
        (found,) = await shard.execute(("EXISTS", keys.job(shard.prefix, job_id)))
        if found:
            return shard
    return None


async def view_jobs(shard: Shard, job_ids: Sequence[str], functions: FunctionRegistry) -> list[JobView | None]:
    """Return jobs of one shard as users see them; None for each that does not exist.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    if not job_ids:
        return []
    commands: list[tuple[str | int, ...]] = []
    for job_id in job_ids:
        commands.append(("HGETALL", keys.job(shard.prefix, job_id)))
        commands.append(("XREVRANGE", keys.results(shard.prefix, job_id), "+", "-", "COUNT", 1))
    answers = await shard.execute(*commands)
    views = []
    for job_id, flat, entries in zip(job_ids, answers[::2], answers[1::2], strict=True):
        fields = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
        result = dict(zip(entries[0][1][::2], entries[0][1][1::2], strict=True)) if entries else {}
        views.append(_view(job_id, fields, result, functions) if fields.get("data") else None)
    return views


async def read_statuses(shard: Shard, job_ids: Sequence[str]) -> list[str | None]:
    """Return the statuses of jobs of one shard; None for each that does not exist.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    answers = await shard.execute(*(("HGET", keys.job(shard.prefix, job_id), "status") for job_id in job_ids))
    return [None if answer is None else answer.decode() for answer in answers]


def _view(
    job_id: str, fields: Mapping[str, bytes], result: Mapping[bytes, bytes], functions: FunctionRegistry
) -> JobView:
    status = fields.get("status", b"created").decode()
    started_at, ended_at = _text(fields, "started_at"), _text(fields, "ended_at")
    return JobView(
        id=job_id,
        function=_function(fields, functions),
        queue=_text(fields, "origin") or "",
        status=status,
        result=_result(result) if status == Status.FINISHED else None,
        error=_error(status, fields, result),
        attempts=int(fields.get("wm_attempts", 1 if started_at else 0)),
        created_at=_text(fields, "created_at"),
        enqueued_at=_text(fields, "enqueued_at"),
        started_at=started_at,
        ended_at=ended_at if Status(status).ended else None,
        worker=_text(fields, "worker_name"),
        meta=_meta(fields.get("meta", b"")),
    )


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return fields[name].decode("utf-8", "replace") if fields.get(name) else None


def _function(fields: Mapping[str, bytes], functions: FunctionRegistry) -> str | None:
    if "wm_feed" in fields:
        return _text(fields, "description")
    # Pickled calls are not read here, but RQ's description of the call starts with the function.
    description = _text(fields, "description") or ""
    return requested_function(fields["data"], functions) or description.split("(", 1)[0] or None


def _result(entry: Mapping[bytes, bytes]) -> bytes | None:
    value = entry.get(b"return_value")
    if value is None:
        return None
    raw = b64decode(value)
    try:
        json.loads(raw, parse_constant=_reject_constant)
    except ValueError:
        # A pickled result is not read here: its consumer uses an RQ client.
        return None
    return raw


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _error(status: str, fields: Mapping[str, bytes], entry: Mapping[bytes, bytes]) -> JobError | None:
    note = _text(fields, "wm_note")
    if note is not None:
        return JobError(FailureReason.REJECTED, note, "")
    if status != Status.FAILED:
        return None
    encoded = entry.get(b"exc_string")
    traceback = zlib.decompress(b64decode(encoded)).decode() if encoded else ""
    lines = [line for line in traceback.splitlines() if line.strip()]
    reason = _text(fields, "wm_reason") or FailureReason.EXCEPTION
    return JobError(str(reason), lines[-1].strip() if lines else "", traceback)


def _meta(raw: bytes) -> Mapping[str, Any] | None:
    if not raw:
        return {}
    try:
        meta = json.loads(raw)
    except ValueError:
        return None
    return meta if isinstance(meta, dict) else None
