"""Listing of jobs by status, page by page, over all shards and queues.

A listing is not a snapshot: a job that changes its status between two pages may be missing or appear twice. Entries are
skipped if the job's record has expired, or if a registry still lists it under an earlier status.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from jobqueue import keys
from jobqueue.errors import JobQueueError
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import list_views
from jobqueue.inspection.stored_jobs import MAX_CALL_JOBS
from jobqueue.job_view import JobView
from jobqueue.model import Status
from jobqueue.servers.connection_pool import RedisCommand
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import name_of, sent_name, shown_name

LISTABLE_STATUSES = (
    Status.STARTED,
    Status.QUEUED,
    Status.SCHEDULED,
    Status.DEFERRED,
    Status.READY_TO_ENQUEUE,
    Status.RATE_LIMITED,
    Status.FAILED,
    Status.STOPPED,
    Status.CANCELED,
    Status.FINISHED,
)
"""The statuses that jobs can be listed by, in the order of a listing of all of them.

RQ keeps no list of jobs that are `created` and not enqueued.
"""

MAX_SKIPPED_PER_PAGE = 2000
"""A page ends early, with a cursor, after this many skipped entries."""

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""A page ends early, with a cursor, where its JSON would be longer. (One job has at most about 1 MiB.)"""

ENVELOPE_BYTES = 1024
"""The names of a job's fields and its short values, as JSON."""

MAX_OFFSET = 2**53
"""Longer than any list. Redis accepts offsets of up to 64 bits."""

REGISTRIES = {
    Status.STARTED: "wip",
    Status.SCHEDULED: "scheduled",
    Status.DEFERRED: "deferred",
    Status.READY_TO_ENQUEUE: "ready",
    Status.FAILED: "failed",
    Status.STOPPED: "failed",
    Status.CANCELED: "canceled",
    Status.FINISHED: "finished",
}
"""The registries that list jobs of a status, by RQ's name."""


class InvalidCursor(JobQueueError):
    """A cursor that was not returned by a listing with these filters."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a listing. `cursor` is for the next page; None if this is the last one."""

    jobs: tuple[JobView, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a page ends. `queue` is the name of the list: for rate-limited jobs their rate limit, else their queue."""

    status: Status
    shard_index: int
    queue: str
    offset: int

    def to_text(self) -> str:
        value = [self.status, self.shard_index, self.queue, self.offset]
        return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> "_Position":
        try:
            padded = text + "=" * (-len(text) % 4)
            status, shard_index, queue, offset = json.loads(urlsafe_b64decode(padded.encode("ascii")))
            if not (type(shard_index) is type(offset) is int and isinstance(queue, str)):
                raise TypeError("a cursor is [status, shard, queue, offset]")
            sent_name(queue)  # raises UnicodeEncodeError (a ValueError) for what is no name
            position = cls(Status(status), shard_index, queue, offset)
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise InvalidCursor(f"unknown cursor {text!r}") from error
        if not (0 <= position.offset < MAX_OFFSET and position.shard_index >= 0):
            raise InvalidCursor(f"unknown cursor {text!r}")
        return position


async def queue_names(shard: Shard) -> list[str]:
    """Return the names of all queues that have ever held a job on the shard, sorted, as `name_of` does.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    (found,) = await shard.execute(("SMEMBERS", keys.queues(shard.prefix)), tolerate_wrong_types=True)
    # One that is not UTF-8 (garbage in Redis) must not hide the others, and what lies under it must be found.
    return sorted(name_of(key).removeprefix(keys.queue(shard.prefix, "")) for key in found or ())


async def list_jobs(
    shards: Shards,
    functions: FunctionRegistry,
    *,
    status: Status | None = None,
    queue: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
    hide_arguments_of: Sequence[str] = (),
    shows: Callable[[str], bool] | None = None,
) -> JobPage:
    """Return one page of jobs: queued jobs in order, ended jobs with the latest first.

    Args:
        shows: tells of a queue whether its jobs are shown, but none that are rate-limited; None shows all.

    Raises:
        InvalidCursor: `cursor` was not returned by a listing with these filters.
        ShardUnavailable: a shard is unavailable.
    """
    start = _Position.from_text(cursor) if cursor else None
    wanted = LISTABLE_STATUSES if status is None else (status,)
    if start is not None and (
        start.status not in wanted
        or start.shard_index >= len(shards)
        or (queue is not None and start.queue != queue and start.status is not Status.RATE_LIMITED)
    ):
        raise InvalidCursor("the cursor belongs to a listing with other filters")
    jobs: list[JobView] = []
    skipped, left_bytes, is_full = 0, MAX_PAGE_BYTES, False
    async for shard, position in _sources(shards, wanted, queue, start, shows):
        offset = position.offset
        while True:
            count = min(limit - len(jobs), MAX_CALL_JOBS)
            if count == 0 or skipped >= MAX_SKIPPED_PER_PAGE or is_full:
                here = _Position(position.status, position.shard_index, position.queue, offset)
                return JobPage(tuple(jobs), here.to_text())
            job_ids = await _entries(shard, position, offset, count)
            views = await list_views(shard, job_ids, functions, left_bytes, hide_arguments_of=hide_arguments_of)
            for view in views:
                if view and _belongs(view, position, queue, shows):
                    job = (
                        replace(view, status=position.status, queue=shown_name(position.queue))
                        if view.unreadable
                        else view
                    )
                    job_bytes = _max_json_bytes(job)
                    if jobs and job_bytes > left_bytes:
                        is_full = True
                        break
                    jobs.append(job)
                    left_bytes -= job_bytes
                else:
                    skipped += 1
                offset += 1
            # The views also end early where the bytes that were read reach the limit.
            if not is_full and len(views) == len(job_ids) < count:
                break
    return JobPage(tuple(jobs), None)


async def _sources(
    shards: Shards,
    statuses: Sequence[Status],
    queue: str | None,
    start: _Position | None,
    shows: Callable[[str], bool] | None,
) -> AsyncIterator[tuple[Shard, _Position]]:
    reached_start = start is None
    for status in statuses:
        for shard in shards:
            if not reached_start and start is not None and (status, shard.index) != (start.status, start.shard_index):
                continue
            for name in await _lists(shard, status, queue, shows):
                if not reached_start and start is not None:
                    if name < start.queue:
                        continue
                    reached_start = True
                    yield shard, start if name == start.queue else _Position(status, shard.index, name, 0)
                else:
                    yield shard, _Position(status, shard.index, name, 0)
            reached_start = True


def _belongs(job: JobView, position: _Position, queue: str | None, shows: Callable[[str], bool] | None) -> bool:
    limited = position.status is Status.RATE_LIMITED
    if job.unreadable:
        # Its own record does not tell the queue.
        return True
    if shows is not None and not shows(job.queue):
        return False
    return job.status == position.status and (not limited or queue in (None, job.queue))


async def _lists(shard: Shard, status: Status, queue: str | None, shows: Callable[[str], bool] | None) -> list[str]:
    """Return the queues, for jobs that are rate-limited the rate limits, whose lists may hold the jobs."""
    if status is Status.RATE_LIMITED:
        if shows is not None:
            return []  # A rate limit spans queues: a cursor would tell its name, and how many jobs of others wait.
        (found,) = await shard.execute(("SMEMBERS", keys.rate_limits(shard.prefix)), tolerate_wrong_types=True)
        return sorted(name_of(key) for key in found or ())
    names = [queue] if queue is not None else await queue_names(shard)
    return names if shows is None else [name for name in names if shows(name)]


async def _entries(shard: Shard, position: _Position, offset: int, count: int) -> list[str]:
    last = offset + count - 1
    if position.status is Status.QUEUED:
        command: RedisCommand = ("LRANGE", keys.queue(shard.prefix, position.queue), offset, last)
    else:
        if position.status is Status.RATE_LIMITED:
            key = keys.rate_limit_waiting(shard.prefix, position.queue)
        else:
            key = keys.registry(shard.prefix, REGISTRIES[position.status], position.queue)
        latest_first = ("REV",) if position.status.ended else ()
        command = ("ZRANGE", key, offset, last, *latest_first)
    (ids,) = await shard.execute(command, tolerate_wrong_types=True)
    # Entries of the registry of started jobs are executions: `id:token`.
    return [name_of(entry).split(":", 1)[0] for entry in ids or ()]


def _max_json_bytes(job: JobView) -> int:
    """Return the most bytes that a job can take in the JSON of a page."""
    texts = [job.function, job.queue, job.worker, job.meta, job.depends_on]
    if job.error is not None:
        texts += [job.error.message, job.error.traceback]
    return ENVELOPE_BYTES + len(job.result or b"") + len(json.dumps(texts))
