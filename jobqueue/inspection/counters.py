"""Counts of jobs, for status pages, metrics and the scaler. The cost of reading them does not grow with the queue."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from jobqueue import keys
from jobqueue.inspection.listing import queue_names
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, name_of, number_of, pairs, shown_name, text_of

QUEUES_PER_CALL = 250
"""They are counted in one call, which takes Redis about two milliseconds. Each call costs the manager as much as the
answer about a hundred queues."""
_MAX_TIME_BYTES = 40
"""How much of a stored time is read, and remembered."""
_ROW_WIDTH = 10
"""Values for each queue in the answer of count_queues.lua."""


@dataclass(slots=True)  # not frozen: for thousands of queues that would take most of the time
class QueueCounts:
    """One queue's jobs by status, on one shard or summed over several.

    Attributes:
        limited: about how many of the deferred jobs could run now: their limits leave room, or they have a fair key.
        oldest_seconds: how long the next job in line has been waiting; None if the queue is empty.
    """

    queued: int = 0
    scheduled: int = 0
    deferred: int = 0
    started: int = 0
    finished: int = 0
    failed: int = 0
    canceled: int = 0
    ready_to_enqueue: int = 0
    limited: int = 0
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
            ready_to_enqueue=self.ready_to_enqueue + other.ready_to_enqueue,
            limited=self.limited + other.limited,
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
class CallbackCounts:
    """Callbacks: how many wait and were given up lately; since the queue was created, attempts, and callbacks dropped.

    Attributes:
        oldest_seconds: how long ago the event was that has waited longest; None if nothing waits.
        delivered, failed, dead: attempts that delivered one, that are repeated, that were the last.
    """

    waiting: int = 0
    given_up: int = 0
    oldest_seconds: float | None = None
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    dropped: int = 0

    def __add__(self, other: "CallbackCounts") -> "CallbackCounts":
        ages = [age for age in (self.oldest_seconds, other.oldest_seconds) if age is not None]
        return CallbackCounts(
            waiting=self.waiting + other.waiting,
            given_up=self.given_up + other.given_up,
            oldest_seconds=max(ages, default=None),
            delivered=self.delivered + other.delivered,
            failed=self.failed + other.failed,
            dead=self.dead + other.dead,
            dropped=self.dropped + other.dropped,
        )


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Counts of one shard, or the sum of several.

    Attributes:
        queues: counts by queue name.
        jobs_leased: jobs that native workers hold.
        completed: results that wait to be pulled.
        results_leased: results that were pulled on a lease and are not acknowledged yet.
        rate_limited: jobs of plain RQ clients that wait for a place of their rate limit, in all queues.
        paused: since when queues are paused, ISO 8601 in UTC, by name; a queue may never have had a job.
        suspended: workers take no job at all (`rq suspend`).
        callbacks: those to be delivered, and what was done.
        schedules: how many there are.
        schedule_runs: what they have done, by outcome.
        losses: runs that were lost with their worker, by what became of the job.
        limits: keys of limits under which jobs have run lately.
    """

    queues: Mapping[str, QueueCounts] = field(default_factory=dict)
    jobs_leased: int = 0
    completed: int = 0
    results_leased: int = 0
    rate_limited: int = 0
    functions: FunctionCounts = field(default_factory=FunctionCounts)
    paused: Mapping[str, str] = field(default_factory=dict)
    suspended: bool = False
    callbacks: CallbackCounts = field(default_factory=CallbackCounts)
    schedules: int = 0
    schedule_runs: Mapping[str, int] = field(default_factory=dict)
    losses: Mapping[str, int] = field(default_factory=dict)
    limits: int = 0

    def __add__(self, other: "ShardCounts") -> "ShardCounts":
        queues = {**self.queues, **other.queues}
        queues |= {name: self.queues[name] + other.queues[name] for name in self.queues.keys() & other.queues.keys()}
        return ShardCounts(
            queues=dict(sorted(queues.items())),
            jobs_leased=self.jobs_leased + other.jobs_leased,
            completed=self.completed + other.completed,
            results_leased=self.results_leased + other.results_leased,
            rate_limited=self.rate_limited + other.rate_limited,
            functions=self.functions + other.functions,
            paused={**self.paused, **other.paused},
            suspended=self.suspended or other.suspended,
            callbacks=self.callbacks + other.callbacks,
            schedules=self.schedules + other.schedules,
            schedule_runs=Counter(self.schedule_runs) + Counter(other.schedule_runs),
            losses=Counter(self.losses) + Counter(other.losses),
            limits=self.limits + other.limits,
        )

    def only(self, shows: Callable[[str], bool]) -> "ShardCounts":
        """Return the counts of the queues for which `shows` is true, without those that are not kept by queue."""
        return ShardCounts(
            queues={name: queue for name, queue in self.queues.items() if shows(name)},
            paused={name: since for name, since in self.paused.items() if shows(name)},
            suspended=self.suspended,
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
        ("SMEMBERS", keys.rate_limits(prefix)),
        ("HGETALL", keys.paused(prefix)),
        ("EXISTS", keys.suspended(prefix)),
        ("ZCARD", keys.schedules(prefix)),
        ("HGETALL", keys.schedule_counts(prefix)),
        ("ZCARD", keys.callbacks(prefix, "waiting")),
        ("ZCARD", keys.callbacks(prefix, "dead")),
        ("ZRANGE", keys.callbacks(prefix, "waiting"), 0, 0, "WITHSCORES"),
        ("HGETALL", keys.callback_counts(prefix)),
        ("HGETALL", keys.counter(prefix, "losses")),
        ("ZCARD", keys.limits(prefix)),
        tolerate_wrong_types=True,
    )
    now = int(own[0][0]) + int(own[0][1]) / 1_000_000
    queues: dict[str, QueueCounts] = {}
    for start in range(0, len(names), QUEUES_PER_CALL):
        for name, counts in await _count_queues(shard, names[start : start + QUEUES_PER_CALL], now):
            shown = shown_name(name)
            queues[shown] = queues[shown] + counts if shown in queues else counts
    enqueued, finished, failed, stopped = (_integers(flat) for flat in own[4:8])
    seconds = {name: number_of(value) or 0.0 for name, value in pairs(own[8])}
    return ShardCounts(
        queues=queues,
        jobs_leased=own[1] or 0,
        completed=own[2] or 0,
        results_leased=own[3] or 0,
        rate_limited=await _count_rate_limited(shard, own[9] or ()),
        functions=FunctionCounts(enqueued, finished, failed, stopped, seconds),
        paused={name: since.decode(errors="replace") for name, since in pairs(own[10])},
        suspended=bool(own[11]),
        schedules=own[12] or 0,
        schedule_runs=_integers(own[13]),
        callbacks=_callbacks(own[14:18], now),
        losses=_integers(own[18]),
        limits=own[19] or 0,
    )


def _callbacks(replies: Sequence[Any], now: float) -> CallbackCounts:
    waiting, dead, oldest, counts = replies
    since_ms = number_of(oldest[1]) if oldest else None
    attempts = _integers(counts)
    return CallbackCounts(
        waiting or 0,
        dead or 0,
        None if since_ms is None else max(0.0, now - since_ms / 1000),
        **{name: attempts.get(name, 0) for name in ("delivered", "failed", "dead", "dropped")},
    )


async def _count_queues(shard: Shard, names: Sequence[str], now: float) -> list[tuple[str, QueueCounts]]:
    flat = await shard.run(script("count_queues"), *names)
    rows = [flat[start : start + _ROW_WIDTH] for start in range(0, len(flat), _ROW_WIDTH)]
    with_lanes = [name for name, row in zip(names, rows, strict=True) if row[2]]
    limited = await shard.run(script("count_limited"), *with_lanes) if with_lanes else ()
    limited_jobs = dict(zip(with_lanes, limited, strict=True))
    return [(name, _queue_counts(row, limited_jobs.get(name, 0), now)) for name, row in zip(names, rows, strict=True)]


def _queue_counts(row: Sequence[Any], limited: int, now: float) -> QueueCounts:
    queued, since, _, scheduled, deferred, started, finished, failed, canceled, ready = row
    age = _age(since, now)
    return QueueCounts(queued, scheduled, deferred, started, finished, failed, canceled, ready, limited, age)


def _age(since: bytes, now: float) -> float | None:
    """Return for how many seconds a job has been queued; None if that cannot be told."""
    enqueued_at = _epoch(since[:_MAX_TIME_BYTES]) if since else None
    return None if enqueued_at is None else max(0.0, now - enqueued_at)


async def _count_rate_limited(shard: Shard, limit_keys: Sequence[bytes]) -> int:
    """Return how many jobs wait for a place of a rate limit. RQ lists them by limit, not by queue."""
    if not limit_keys:
        return 0
    commands = [("ZCARD", keys.rate_limit_waiting(shard.prefix, name_of(key))) for key in limit_keys]
    return sum(card or 0 for card in await shard.execute(*commands, tolerate_wrong_types=True))


@lru_cache(maxsize=5000)
def _epoch(since: bytes) -> float | None:
    """Return a stored time in seconds since the epoch; None if it is no time.

    Remembered, because the same job may be the next one of its queue for long.
    """
    try:
        return datetime.fromisoformat(text_of(since)).timestamp()
    except (ValueError, OverflowError):
        return None


def _integers(flat: Sequence[bytes] | None) -> dict[str, int]:
    return {name: integer_of(value) for name, value in pairs(flat)}
