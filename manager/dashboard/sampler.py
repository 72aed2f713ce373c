"""Reads the state of the queue once a second while somebody looks, for all open pages together."""

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.inspection.counters import ShardCounts
from jobqueue.workers.registry import WorkerView
from manager.dashboard.earlier_counts import EarlierCounts
from manager.dashboard.signs import Signs, read_signs
from manager.queue.connection import QueueConnection
from manager.queue.watched_servers import SeenServers, WatchedServers
from manager.siblings.channel import NoAnswer
from scaler.observe.instance_phases import InstancePhase
from scaler.view import ScalerView, view_scaler

SAMPLE_SECONDS = 1.0
MAX_SHARE = 0.02
"""Of the time: with many queues and workers, samples are taken less often, so that reading takes no more than this."""
MAX_SAMPLE_SECONDS = 10.0
WATCHED_SECONDS = 300.0
"""Samples are taken for so long after the last look, so that somebody who comes back finds what has happened."""
RARELY_SECONDS = 5.0
"""Between two looks at the scaler and at signs of trouble: the scaler's state is long, and changes rarely."""
MAIN_PROCESS_SECONDS = 1.0
"""How long a sample waits for what the main process of this manager has seen."""
MANY = 300
"""With so many queues and workers together, a sample takes tens of milliseconds: opened pages show the last one."""
HISTORY_POINTS = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Point:
    """What a chart shows of one sample.

    Attributes:
        at: Unix time.
        enqueued, finished, failed: totals since the queue was created.
        demand: jobs that run, and jobs that wait in queues that are served and not paused.
        instances: of the scaler, in all phases; booting, idle, busy: some of them.
    """

    at: float
    waiting: int
    running: int
    workers: int
    enqueued: int
    finished: int
    failed: int
    demand: int = 0
    instances: int = 0
    booting: int = 0
    idle: int = 0
    busy: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of the queue at one moment, and before.

    Attributes:
        number: larger in each sample.
        at: Unix time.
        read_at: when all else was read, which is earlier if there is an error; None if nothing has been read yet.
        unavailable: how many shards did not answer.
        unserved: queues that nobody serves, each with what to do.
        scaler: None if it could not be read.
        signs: of trouble that no count has.
        servers: what is known of the Redis servers; None if the main process of this manager does not answer.
        before: the counts of up to five minutes ago, since somebody looks; None if there are none yet, or if those of
            now cannot be compared with them.
        history: the last points, the oldest first; the last one is this sample's.
        error: why nothing could be read now.
    """

    number: int
    at: float
    read_at: float | None = None
    counts: ShardCounts = field(default_factory=ShardCounts)
    unavailable: int = 0
    workers: Sequence[WorkerView] = ()
    unserved: Mapping[str, str] = field(default_factory=dict)
    scaler: ScalerView | None = None
    signs: Signs = field(default_factory=Signs)
    before: ShardCounts | None = None
    history: Sequence[Point] = ()
    servers: SeenServers | None = field(default_factory=SeenServers)
    error: str | None = None


class Sampler:
    """Takes samples while somebody looks."""

    def __init__(self, queue: QueueConnection, servers: WatchedServers) -> None:
        self._queue = queue
        self._servers = servers
        self._sample = Sample(0, time.time(), error="nothing has been read yet")
        self._history: deque[Point] = deque(maxlen=HISTORY_POINTS)
        self._earlier = EarlierCounts()
        self._scaler: ScalerView | None = None
        self._signs = Signs()
        self._scaler_read_at = 0.0
        self._looked_at = 0.0
        self._cost_seconds = 0.0
        self._number = 0
        self._taken = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def current(self, *, changed: bool = False) -> Sample:
        """Return a sample that is taken from now on, for all who ask meanwhile; of a large system, the last one.

        Args:
            changed: somebody has just changed something, maybe of the scaler, and at any manager: it must be seen.
        """
        if changed:
            self._scaler_read_at = 0.0
        elif (last := self.last_of_many()) is not None:
            return last
        self._wanted.set()
        return await self.after(self._number)

    def last_of_many(self) -> Sample | None:
        """Return the last sample of a large system; None if the system is small, or the sample old or a failed one.

        It is at most `MAX_SAMPLE_SECONDS` old; what it has of the scaler, `RARELY_SECONDS` more.
        """
        last = self._sample
        is_large = len(last.counts.queues) + len(last.workers) >= MANY
        if not is_large or not self._is_running or last.number != self._number or last.error is not None:
            return None
        self._looked_at = time.monotonic()
        return last

    async def after(self, number: int) -> Sample:
        """Return the newest sample as soon as it has a larger number."""
        self._looked_at = time.monotonic()
        if not self._is_running:
            # What was read before the pause is too old to be shown.
            self._history.clear()
            self._earlier.clear()
            number = self._number
            self._task = asyncio.create_task(self._run())
        async with self._taken:
            await self._taken.wait_for(lambda: self._sample.number > number)
        return self._sample

    async def stop(self) -> None:
        """Stop sampling."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while time.monotonic() - self._looked_at < WATCHED_SECONDS:
            self._wanted.clear()
            self._number += 1
            began = time.monotonic()
            self._sample = await self._take(self._number)
            self._cost_seconds = time.monotonic() - began
            async with self._taken:
                self._taken.notify_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await self._wanted.wait()

    @property
    def _is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def _pause_seconds(self) -> float:
        """How long to wait until the next sample."""
        return min(max(self._cost_seconds / MAX_SHARE, SAMPLE_SECONDS), MAX_SAMPLE_SECONDS)

    async def _take(self, number: int) -> Sample:
        """Return a sample; if nothing can be read, the one before with the reason."""
        now, servers = time.time(), self._sample.servers
        try:
            servers = await self._see_servers()
            return replace(await self._read(number, now), servers=servers)
        except (JobQueueError, RedisError, OSError) as error:
            reason = str(error)
        except Exception:  # The loop's edge: pages must go on, and say so.
            log.exception("event=dashboard_sample_crashed")
            reason = "the sample failed: see the manager's log"
        return replace(self._sample, number=number, at=now, servers=servers, error=reason, before=None)

    async def _see_servers(self) -> SeenServers | None:
        try:
            return await self._servers.seen(MAIN_PROCESS_SECONDS)
        except NoAnswer:
            return None  # Pages say so.

    async def _read(self, number: int, now: float) -> Sample:
        service = self._queue.service
        (counts, unavailable), workers = await asyncio.gather(service.overview.counts(), service.overview.workers())
        unserved = await service.monitor.unserved({*counts.queues, *counts.paused})
        scaler = await self._read_rarely(workers)
        # Totals without those of a shard that is away cannot be compared.
        before = None if unavailable else self._earlier.before(now, counts)
        self._history.append(point_of(now, counts, len(workers), unserved, scaler))
        return Sample(
            *(number, now, now, counts, unavailable, workers, unserved, scaler, self._signs, before),
            history=tuple(self._history),
        )

    async def _read_rarely(self, workers: Sequence[WorkerView]) -> ScalerView | None:
        if time.monotonic() - self._scaler_read_at >= RARELY_SECONDS:
            self._scaler_read_at = time.monotonic()
            try:
                self._scaler = await view_scaler(self._queue.service.shards, workers)
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=dashboard_scaler_not_read error=%s", error)
                self._scaler = None
            self._signs = await read_signs(self._queue.service.shards)
        return self._scaler


def point_of(
    at: float, counts: ShardCounts, workers: int, unserved: Collection[str], scaler: ScalerView | None
) -> Point:
    """Return what charts show of what was read."""
    total, functions = counts.total, counts.functions
    phases = Counter(() if scaler is None else (each.phase for each in scaler.instances))
    runnable = (queue.queued for name, queue in counts.queues.items() if name not in {*counts.paused, *unserved})
    return Point(
        at=at,
        waiting=total.queued + total.ready_to_enqueue + counts.rate_limited,
        running=total.started,
        workers=workers,
        enqueued=sum(functions.enqueued.values()),
        finished=sum(functions.finished.values()),
        failed=sum(functions.failed.values()),
        demand=total.started + sum(runnable),
        instances=phases.total(),
        booting=phases[InstancePhase.BOOTING],
        idle=phases[InstancePhase.IDLE],
        busy=phases[InstancePhase.BUSY],
    )
