"""Reading of job records for people, with a limit on the bytes that are read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import number_of, text_of

FIELDS = (
    *("status", "origin", "wm_feed"),  # As view.lua expects them.
    *("description", "created_at", "enqueued_at", "started_at", "ended_at", "worker_name", "timeout", "retries_left"),
    *("dependency_ids", "dependency_id", "wm_attempts", "wm_reason", "wm_note", "wm_isolation", "wm_depends_on"),
    *("wm_labels", "wm_progress", "wm_callback", "wm_callback_last", "wm_workflow"),
)
"""The fields that are read, besides `data` and `meta`."""

MAX_CALL_JOBS = 200
"""Maximum number of jobs per call of the script: other requests wait meanwhile."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What is read of a job at most, in bytes.

    Attributes:
        meta, call: a longer one is left out.
        calls_of_all: whether the call is read of every job, or only where it alone names the function.
        result: of a result as it lies in Redis' memory; a larger one is left out.
    """

    meta: int
    call: int
    calls_of_all: bool
    result: int


@dataclass(frozen=True, slots=True)
class StoredJob:
    """The part of a record that was read.

    Attributes:
        fields: includes `data` and `meta`, unless they are too long.
        call_bytes, meta_bytes: their lengths.
        due_at: when a scheduled job is due, a Unix time.
        result: fields of the last result; empty for none.
        left_out_result_bytes: size of a result that is too large, as it lies in Redis' memory; 0 for none.
    """

    fields: Mapping[str, bytes]
    call_bytes: int
    meta_bytes: int
    due_at: float | None
    result: Mapping[bytes, bytes]
    left_out_result_bytes: int

    @property
    def exists(self) -> bool:
        """Whether there is such a job. RQ leaves single fields behind when it deletes a job that runs."""
        return self.call_bytes > 0 or bool(self.fields.get("status"))


async def read_jobs(shard: Shard, job_ids: Sequence[str], limits: ReadLimits, max_bytes: int) -> list[StoredJob | None]:
    """Read the first of these jobs, at least one and at most `MAX_CALL_JOBS`, until they have `max_bytes`.

    Returns:
        None for a job whose key in Redis is no hash.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    rows = await shard.run(
        script("view"),
        limits.meta,
        limits.call,
        int(limits.calls_of_all),
        limits.result,
        max_bytes,
        len(FIELDS),
        *FIELDS,
        *job_ids[:MAX_CALL_JOBS],
    )
    return [_stored_job(row) if row else None for row in rows]


def _stored_job(row: Sequence[Any]) -> StoredJob:
    values, data, meta, call_bytes, meta_bytes, due_at, result, left_out = row
    fields = dict(_present(zip(FIELDS, values, strict=True)))
    fields |= _present((("data", data), ("meta", meta)))
    return StoredJob(
        fields,
        call_bytes,
        meta_bytes,
        number_of(text_of(due_at)),
        dict(zip(result[::2], result[1::2], strict=True)),
        left_out,
    )


def _present(fields: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    return {name: value for name, value in fields if value}
