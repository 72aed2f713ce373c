"""Knows which queues are paused or served by no worker, so that submitters and operators are told."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.audit import Author
from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.inspection.listing import queue_names
from jobqueue.model import ALL_QUEUES, DEFAULT_QUEUE, serves
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.queue_service import WorkersOfQueues, pause_queue, read_workers_of_queues, resume_queue
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.problems import how_to_resume
from manager.queue.waiting_jobs import WaitingJobs
from scaler.state.leader_election import read_leadership

CHECK_SECONDS = 1.0

log = logging.getLogger(__name__)


NOBODY = (
    "no worker is registered and no manager launches any, so jobs wait: start a worker (workmanager worker), or a"
    " manager with --scaler local or --scaler ec2"
)


@dataclass(frozen=True, slots=True)
class _Workers:
    """Who runs jobs.

    Attributes:
        registered: the registered workers.
        managed: the queues of the workers that a scaler launches; none if there is no scaler.
    """

    registered: WorkersOfQueues
    managed: Sequence[str]

    @property
    def exist(self) -> bool:
        return self.registered.any_worker or bool(self.managed)

    @property
    def serve_every_queue(self) -> bool:
        return self.registered.every_queue or tuple(self.managed) == ALL_QUEUES

    def serve(self, queue: str) -> bool:
        found = self.registered
        return found.every_queue or queue in found.served or serves(self.managed, queue)

    def missing(self, queue: str) -> str:
        """Return what is said of a queue that nobody serves."""
        if not self.exist:
            return NOBODY
        return (
            f"no worker serves queue {queue!r}, so its jobs wait: start a worker that names it (--queues) or that"
            " serves every queue, or add it to WORKMANAGER_QUEUES"
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the last check found.

    Attributes:
        workers: who runs jobs.
        served: queues that are served.
        unserved: queues that are not, with the number of jobs that wait in them.
        warnings: why jobs of a queue do not run for now, by queue.
    """

    workers: _Workers
    served: frozenset[str]
    unserved: Mapping[str, int]
    warnings: Mapping[str, str]


class QueueMonitor:
    """Checks the queues every second, and answers from what it found.

    A queue is served if a registered worker serves it, or if the workers that a scaler launches do.

    Args:
        managed_queues: those that the scaler's workers serve.
        launches_workers: this manager has a scaler; otherwise another one may.
    """

    def __init__(
        self, shards: Shards, breaker: ShardBreaker, managed_queues: Sequence[str], *, launches_workers: bool
    ) -> None:
        self._shards = shards
        self._breaker = breaker
        self._managed_queues = managed_queues
        self._launches_workers = launches_workers
        self._seen: _Seen | None = None
        self._waiting = WaitingJobs()
        self._told: set[str] = set()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            try:
                self._seen = await self._check()
                self._tell(self._seen)
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=queue_check_failed error=%s", error)
            except Exception:  # The loop's edge: an unforeseen error must not end the manager.
                log.exception("event=queue_check_crashed")
            await asyncio.sleep(CHECK_SECONDS)

    async def unserved(self, queues: Collection[str]) -> Mapping[str, str]:
        """Return those of these queues that nobody serves, each with what to do about it.

        Raises:
            ShardUnavailable: no shard answers.
        """
        workers = await self._read(tuple(queues))
        return {queue: workers.missing(queue) for queue in queues if not workers.serve(queue)}

    async def lately_unserved(self, queues: Collection[str]) -> Mapping[str, str]:
        """Return the same by the last check, a second ago, if it knows these queues: Redis is asked nothing for each.

        Raises:
            ShardUnavailable: no shard answers.
        """
        seen = self._seen
        if seen is None or not seen.served.union(seen.unserved).issuperset(queues):
            return await self.unserved(queues)
        return {queue: seen.workers.missing(queue) for queue in queues if queue in seen.unserved}

    def known_warning(self, queue: str) -> str | None:
        """Return why a job of this queue does not run for now, as far as the last check knows; None if it can run."""
        seen = self._seen
        return None if seen is None else seen.warnings.get(queue)

    def has_room(self, queue: str, most: int) -> bool:
        """Return whether fewer than `most` jobs wait in a queue, as far as the last check knows, and count one more.

        What other managers have taken since that check is not counted, nor are jobs of keys without such a limit. With
        hundreds of queues, the number is some seconds old when a queue is asked about for the first time.
        """
        if self._waiting.ask(queue, time.monotonic()) >= most:
            return False
        self._waiting.add_one(queue)
        return True

    async def warning(self, queue: str) -> str | None:
        """Return the same, also for a queue that is new."""
        seen = self._seen
        if seen is None or seen.workers.serve_every_queue or queue in seen.served or queue in seen.warnings:
            return self.known_warning(queue)
        if not seen.workers.exist:
            return NOBODY
        try:
            return (await self.unserved([queue])).get(queue)
        except JobQueueError:
            return None  # The job is stored; that nobody can tell more about it now is no error.

    async def pause(self, queue: str, author: Author) -> None:
        """Pause a queue on all shards; the first one notes the author.

        Raises:
            ShardUnavailable: it is not paused on some shards; a repeat is safe.
        """
        await self._on_all(pause_queue, queue, author)
        log.info("event=queue_paused queue=%r by=%s", queue, author.actor)

    async def resume(self, queue: str, author: Author) -> None:
        """End a pause on all shards; the first one notes the author.

        Raises:
            ShardUnavailable: it is still paused on some shards; a repeat is safe.
        """
        await self._on_all(resume_queue, queue, author)
        log.info("event=queue_resumed queue=%r by=%s", queue, author.actor)

    async def _check(self) -> _Seen:
        names_by_shard: dict[Shard, frozenset[str]] = {}
        paused = set[str]()
        for shard in self._shards:
            with suppress(ShardUnavailable), self._breaker.guard(shard):
                names_by_shard[shard] = frozenset(await queue_names(shard))
                (flat,) = await shard.execute(("HGETALL", keys.paused(shard.prefix)), tolerate_wrong_types=True)
                paused.update(name.decode(errors="replace") for name in (flat or ())[::2])
        names = frozenset({DEFAULT_QUEUE}.union(*names_by_shard.values()))
        await self._count(names_by_shard, self._waiting.due(names, time.monotonic()))
        workers = await self._read(sorted(names))
        served = frozenset(name for name in names if workers.serve(name))
        unserved = {name: self._waiting.queued(name) for name in names - served}
        warnings = {name: workers.missing(name) for name in unserved}
        for name in paused:
            warnings[name] = f"queue {name!r} is paused: the job waits until {how_to_resume(name)}"
        return _Seen(workers, served, unserved, warnings)

    async def _count(self, names_by_shard: Mapping[Shard, frozenset[str]], queues: Collection[str]) -> None:
        queued, scheduled = Counter(dict.fromkeys(queues, 0)), Counter(dict.fromkeys(queues, 0))
        for shard, names in names_by_shard.items():
            due = sorted(names.intersection(queues))
            lengths = [("LLEN", keys.queue(shard.prefix, name)) for name in due]
            later = [("ZCARD", keys.registry(shard.prefix, "scheduled", name)) for name in due]
            with suppress(ShardUnavailable), self._breaker.guard(shard):
                jobs = await shard.execute(*lengths, *later, tolerate_wrong_types=True) if due else ()
                queued.update({name: number or 0 for name, number in zip(due, jobs, strict=False)})
                scheduled.update({name: number or 0 for name, number in zip(due, jobs[len(due) :], strict=True)})
        self._waiting.update(queued, scheduled)

    async def _read(self, queues: Sequence[str]) -> _Workers:
        managed = self._managed_queues if self._launches_workers or await self._another_manager_leads() else ()
        # Those that the scaler's workers serve need no other worker.
        asked = [queue for queue in queues if not serves(managed, queue)]
        failure = ShardUnavailable("no shard of the queue answers")
        for shard in self._shards:
            try:
                with self._breaker.guard(shard):
                    return _Workers(await read_workers_of_queues(shard, asked), managed)
            except ShardUnavailable as error:
                failure = error
        raise failure

    async def _another_manager_leads(self) -> bool:
        shard = self._shards.all[0]
        try:
            with self._breaker.guard(shard):
                return await read_leadership(shard) is not None
        except ShardUnavailable:
            return False

    def _tell(self, seen: _Seen) -> None:
        waiting = {queue for queue, jobs in seen.unserved.items() if jobs}
        for queue in sorted(waiting - self._told):
            jobs, why = seen.unserved[queue], seen.workers.missing(queue)
            log.warning("event=queue_unserved queue=%r jobs=%d: %s", queue, jobs, why)
        for queue in sorted(self._told - waiting):
            log.info("event=queue_served queue=%r", queue)
        self._told = waiting

    async def _on_all(
        self, change: Callable[[Shard, str, Author | None], Awaitable[None]], queue: str, author: Author
    ) -> None:
        async def on_shard(shard: Shard) -> None:
            with self._breaker.guard(shard):
                await change(shard, queue, author if shard.index == 0 else None)

        outcomes = await asyncio.gather(*(on_shard(shard) for shard in self._shards), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self._seen = await self._check()
