"""Counts of jobs, for status pages, metrics and the scaler. The cost of reading them does not grow with the queue."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobqueue import keys
from jobqueue.inspection.listing import queue_names
from jobqueue.sharding.shard import Shard


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """One queue's jobs by status, on one shard or summed over several.

    Attributes:
        oldest_seconds: how long the next job in line has been waiting; None if the queue is empty.
    """

    queued: int = 0
    scheduled: int = 0
    deferred: int = 0
    started: int = 0
    finished: int = 0
    failed: int = 0
    canceled: int = 0
    oldest_seconds: float | None = None

    def __add__(self, other: "QueueCounts") -> "QueueCounts":
        ages = [age for age in (self.oldest_seconds, other.oldest_seconds) if age is not None]
        return QueueCounts(
            queued=self.queued + other.queued,
            scheduled=self.scheduled + other.scheduled,
            deferred=self.deferred + other.deferred,
            started=self.started + other.started,
            finished=self.finished + other.finished,
            failed=self.failed + other.failed,
            canceled=self.canceled + other.canceled,
            oldest_seconds=max(ages, default=None),
        )


@dataclass(frozen=True, slots=True)
class FunctionCounts:
    """Totals since the queue was created, by function: jobs enqueued and ended, and seconds of work done."""

    enqueued: Mapping[str, int] = field(default_factory=dict)
    finished: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    stopped: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: "FunctionCounts") -> "FunctionCounts":
        return FunctionCounts(
            enqueued=Counter(self.enqueued) + Counter(other.enqueued),
            finished=Counter(self.finished) + Counter(other.finished),
            failed=Counter(self.failed) + Counter(other.failed),
            stopped=Counter(self.stopped) + Counter(other.stopped),
            seconds={
                name: self.seconds.get(name, 0.0) + other.seconds.get(name, 0.0)
                for name in {*self.seconds, *other.seconds}
            },
        )


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Counts of one shard, or the sum of several.

    Attributes:
        queues: counts by queue name.
        jobs_leased: jobs that native workers hold.
        completed: results that wait to be pulled.
        results_leased: results that were pulled on a lease and are not acknowledged yet.
    """

    queues: Mapping[str, QueueCounts] = field(default_factory=dict)
    jobs_leased: int = 0
    completed: int = 0
    results_leased: int = 0
    functions: FunctionCounts = field(default_factory=FunctionCounts)

    def __add__(self, other: "ShardCounts") -> "ShardCounts":
        nothing = QueueCounts()
        return ShardCounts(
            queues={
                name: self.queues.get(name, nothing) + other.queues.get(name, nothing)
                for name in sorted({*self.queues, *other.queues})
            },
            jobs_leased=self.jobs_leased + other.jobs_leased,
            completed=self.completed + other.completed,
            results_leased=self.results_leased + other.results_leased,
            functions=self.functions + other.functions,
        )

    @property
    def total(self) -> QueueCounts:
        """The sum of all queues."""
        return sum(self.queues.values(), QueueCounts())


async def read_counts(shard: Shard) -> ShardCounts:
    """Read the counts of a shard, with a fixed number of commands per queue.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    names = await queue_names(shard)
    prefix = shard.prefix
    own = await shard.execute(
        ("TIME",),
        ("ZCARD", keys.leases(prefix)),
        ("ZCARD", keys.feed(prefix)),
        ("ZCARD", keys.feed_leases(prefix)),
        *(("HGETALL", keys.counter(prefix, what)) for what in ("enqueued", "finished", "failed", "stopped", "seconds")),
    )
    now = int(own[0][0]) + int(own[0][1]) / 1_000_000
    queues = {}
    for name in names:
        queues[name] = await _count_queue(shard, name, now)
    enqueued, finished, failed, stopped = (_integers(flat) for flat in own[4:8])
    seconds = {name.decode(): float(value) for name, value in _pairs(own[8])}
    return ShardCounts(
        queues=queues,
        jobs_leased=own[1],
        completed=own[2],
        results_leased=own[3],
        functions=FunctionCounts(enqueued, finished, failed, stopped, seconds),
    )


async def _count_queue(shard: Shard, name: str, now: float) -> QueueCounts:
    prefix = shard.prefix
    registries = ("scheduled", "deferred", "wip", "finished", "failed", "canceled")
    queued, head, *cards = await shard.execute(
        ("LLEN", keys.queue(prefix, name)),
        ("LINDEX", keys.queue(prefix, name), 0),
        *(("ZCARD", keys.registry(prefix, registry, name)) for registry in registries),
    )
    oldest_seconds = None
    if head is not None:
        (since,) = await shard.execute(("HGET", keys.job(prefix, head.decode()), "enqueued_at"))
        oldest_seconds = max(0.0, now - _epoch(since)) if since else None
    scheduled, deferred, started, finished, failed, canceled = cards
    return QueueCounts(queued, scheduled, deferred, started, finished, failed, canceled, oldest_seconds)


def _epoch(since: bytes) -> float:
    return datetime.fromisoformat(since.decode()).timestamp()


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _integers(flat: Sequence[Any]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in _pairs(flat)}
