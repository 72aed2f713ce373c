"""Lists jobs by status, a page at a time, over all shards and queues.

A listing is no snapshot: a job that changes its status between two pages may be missed or shown twice. Entries whose
record has expired, and those that a registry keeps under another status, are passed over.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.errors import JobQueueError
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.model import JobView, Status
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards

LISTABLE_STATUSES = (
    Status.STARTED,
    Status.QUEUED,
    Status.SCHEDULED,
    Status.DEFERRED,
    Status.FAILED,
    Status.STOPPED,
    Status.CANCELED,
    Status.FINISHED,
)
"""The statuses that a job can be listed by, in the order in which all of them are listed."""

MAX_SKIPPED_PER_PAGE = 2000
"""After so many entries that do not belong on the page it ends early, with a cursor."""

MAX_OFFSET = 2**53
"""Beyond the length of any list; Redis takes no offset beyond 64 bits."""

_REGISTRIES = {
    Status.STARTED: "wip",
    Status.SCHEDULED: "scheduled",
    Status.DEFERRED: "deferred",
    Status.FAILED: "failed",
    Status.STOPPED: "failed",
    Status.CANCELED: "canceled",
    Status.FINISHED: "finished",
}


class InvalidCursor(JobQueueError):
    """A cursor that no listing with these filters has returned."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Part of a listing; `cursor` continues it, None at its end."""

    jobs: tuple[JobView, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Position:
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
            queue.encode()  # a lone surrogate is no text
            position = cls(Status(status), shard_index, queue, offset)
        except (ValueError, TypeError, RecursionError, binascii.Error) as error:
            raise InvalidCursor(f"unknown cursor {text!r}") from error
        if not (0 <= position.offset < MAX_OFFSET and position.shard_index >= 0):
            raise InvalidCursor(f"unknown cursor {text!r}")
        return position


async def queue_names(shard: Shard) -> list[str]:
    """The queues that have ever held a job on the shard, by name.

    Raises:
        ShardUnavailable: the master is away.
    """
    (found,) = await shard.execute(("SMEMBERS", keys.queues(shard.prefix)))
    # A name that is no text (nobody's but garbage in Redis) must not hide the others.
    return sorted(key.decode(errors="replace").removeprefix(keys.queue(shard.prefix, "")) for key in found)


async def list_jobs(
    shards: Shards,
    functions: FunctionRegistry,
    *,
    status: Status | None = None,
    queue: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> JobPage:
    """One page of jobs: queued ones in their order, ended ones the latest first.

    Raises:
        BadCursor: `cursor` belongs to no listing with these filters.
        ShardUnavailable: a shard is away.
    """
    start = _Position.from_text(cursor) if cursor else None
    wanted = LISTABLE_STATUSES if status is None else (status,)
    if start is not None and (
        start.status not in wanted or start.shard_index >= len(shards) or (queue is not None and start.queue != queue)
    ):
        raise InvalidCursor("the cursor belongs to a listing with other filters")
    jobs: list[JobView] = []
    passed_over = 0
    async for shard, position in _sources(shards, wanted, queue, start):
        offset = position.offset
        while True:
            count = limit - len(jobs)
            if count == 0 or passed_over >= MAX_SKIPPED_PER_PAGE:
                here = _Position(position.status, position.shard_index, position.queue, offset)
                return JobPage(tuple(jobs), here.to_text())
            job_ids = await _entries(shard, position, offset, count)
            found = [job for job in await view_jobs(shard, job_ids, functions) if job and job.status == position.status]
            jobs += found
            passed_over += len(job_ids) - len(found)
            offset += len(job_ids)
            if len(job_ids) < count:
                break
    return JobPage(tuple(jobs), None)


async def _sources(
    shards: Shards, statuses: Sequence[Status], queue: str | None, start: _Position | None
) -> AsyncIterator[tuple[Shard, _Position]]:
    begun = start is None
    for status in statuses:
        for shard in shards:
            if not begun and start is not None and (status, shard.index) != (start.status, start.shard_index):
                continue
            for name in [queue] if queue is not None else await queue_names(shard):
                if not begun and start is not None:
                    if name < start.queue:
                        continue
                    begun = True
                    yield shard, start if name == start.queue else _Position(status, shard.index, name, 0)
                else:
                    yield shard, _Position(status, shard.index, name, 0)
            begun = True


async def _entries(shard: Shard, position: _Position, offset: int, count: int) -> list[str]:
    last = offset + count - 1
    if position.status is Status.QUEUED:
        (ids,) = await shard.execute(("LRANGE", keys.queue(shard.prefix, position.queue), offset, last))
    else:
        key = keys.registry(shard.prefix, _REGISTRIES[position.status], position.queue)
        latest_first = ("REV",) if position.status.ended else ()
        (ids,) = await shard.execute(("ZRANGE", key, offset, last, *latest_first))
    # The registry of started jobs names executions: id:token.
    return [entry.decode().split(":", 1)[0] for entry in ids]
