"""The scaler's loop: every manager runs it, the one that holds the lease observes, decides and acts.

What it knows it reads from Redis at each tick (the queue, the registered workers, what was launched and has not
registered yet), so a restart or a change of leader changes nothing.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from redis.exceptions import RedisError

from jobqueue.counters import ShardCounts, count
from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.shards import Shards
from jobqueue.workers import Command, WorkerView, list_workers, send
from scaler.fleet import Fleet
from scaler.leadership import Candidate
from scaler.learning import Counts, Learning
from scaler.policy import Decision, Limits, Observation, decide
from scaler.sightings import Sightings, outstanding, spread

TICK_SECONDS = 1.0
BOOT_SECONDS = 30.0
"""A worker that was launched so long ago and has not registered is given up."""
SILENT_SECONDS = 20.0
"""A worker that has not been heard of for so long does nothing that counts: its leases have run out."""

FIRST_BOOT_SECONDS = 2.0
"""What a boot is taken for until some have been seen."""
SAVE_SECONDS = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Workers:
    """`booting`: seconds since the launch of each that has not registered; `now`: by Redis' clock."""

    now: float
    serving: tuple[WorkerView, ...]
    draining: tuple[WorkerView, ...]
    booting: Mapping[str, float]


class ScalerLoop:
    """Runs on an asyncio loop until it is stopped.

    Args:
        fleet: launches workers.
        address: host and port by which operators know this manager.
    """

    def __init__(self, shards: Shards, fleet: Fleet, limits: Limits, address: str) -> None:
        self._shards = shards
        self._state = shards.all[0]
        self._fleet = fleet
        self._limits = limits
        self._learning = Learning(limits, boot_seconds=FIRST_BOOT_SECONDS)
        self._sightings = Sightings()
        self._saved_at = 0.0
        self._candidate = Candidate(self._state, address)
        self._scheduler = AsyncIOScheduler()
        self._leading = False
        self._ticking = asyncio.Lock()
        self._stopped = False

    @property
    def _launches_key(self) -> str:
        return f"{self._state.prefix}:wm:scaler:launches"

    @property
    def _learned_key(self) -> str:
        return f"{self._state.prefix}:wm:scaler:learned"

    def start(self) -> None:
        """Begins to tick."""
        self._scheduler.add_job(self._tick_safely, "interval", seconds=TICK_SECONDS, max_instances=1, coalesce=True)
        self._scheduler.start()

    async def stop(self) -> None:
        """Ends the loop, hands the lease over and lets go of the workers that this process started."""
        # A tick that is under way ends first (a shutdown would cut it short in the middle of a launch), and none that
        # follows takes the lease again.
        self._stopped = True
        async with self._ticking:
            self._scheduler.shutdown(wait=False)
        try:
            await self._candidate.resign()
        except JobQueueError as error:
            log.warning("event=scaler_resign_failed error=%s", error)
        await self._fleet.close()

    async def tick(self) -> Decision | None:
        """One round; None where another manager acts.

        Raises:
            ShardUnavailable: a shard is away: with stale numbers nothing is decided.
        """
        leadership = await self._candidate.stand()
        if leadership.ours != self._leading:
            self._leading = leadership.ours
            epoch, address = leadership.epoch, leadership.address
            log.info("event=scaler_leader ours=%s epoch=%d address=%s", leadership.ours, epoch, address)
            if leadership.ours:
                await self._restore()
        if not leadership.ours:
            return None
        workers = await self._find_workers()
        observation = await self._observe(workers)
        decision = decide(observation, self._learning.limits)
        await self._save(workers.now)
        if not decision.launch and not decision.drain:
            return decision
        instance_ids = [secrets.token_hex(8) for _ in range(decision.launch)]
        entry = json.dumps({"at": time.time(), "epoch": leadership.epoch, "reason": decision.reason})
        if not await self._candidate.intend(leadership.epoch, entry, instance_ids):
            log.warning("event=scaler_decision_void epoch=%d reason=lease_lost", leadership.epoch)
            return None
        log.info("event=scaler_decision epoch=%d %s", leadership.epoch, decision.reason)
        if instance_ids:
            await self._fleet.launch(instance_ids)
        await self._drain([worker for worker in workers.serving if worker.running == 0][: decision.drain])
        return decision

    async def _tick_safely(self) -> None:
        try:
            async with self._ticking:
                if not self._stopped:
                    await self.tick()
        except (JobQueueError, RedisError, OSError) as error:
            log.warning("event=scaler_tick_failed error=%s", error)

    async def _observe(self, workers: _Workers) -> Observation:
        counts = sum(await asyncio.gather(*(count(shard) for shard in self._shards)), ShardCounts())
        total, functions = counts.total, counts.functions
        jobs = outstanding(functions)
        queued = spread(total.queued, jobs)
        ages = self._sightings.ages(workers.serving, workers.now)
        running = spread(len(ages), jobs)
        names = (name for name, number in running.items() for _ in range(number))
        busy = sum(worker.running > 0 for worker in workers.serving)
        oldest_seconds = total.oldest_seconds or 0.0
        lessons = self._learning.observe(
            Counts(
                now=workers.now,
                queued=queued,
                running=list(zip(names, ages, strict=True)),
                ended={name: functions.finished.get(name, 0) for name in functions.finished},
                ended_seconds=functions.seconds,
                oldest_seconds=oldest_seconds,
                ready=len(workers.serving),
                coming=len(workers.booting),
            )
        )
        return Observation(
            now=workers.now,
            queued=queued,
            oldest_seconds=oldest_seconds,
            running_ages=ages,
            idle=len(workers.serving) - busy,
            busy=busy,
            draining=len(workers.draining),
            free_slots=sum(max(0, worker.slots - worker.running) for worker in workers.serving),
            booting_ages=list(workers.booting.values()),
            lessons=lessons,
        )

    async def _restore(self) -> None:
        """Goes on from what the last leader had learned; what this one knew has aged while it did not lead."""
        self._learning = Learning(self._limits, boot_seconds=FIRST_BOOT_SECONDS)
        self._sightings = Sightings()
        (text,) = await self._state.execute(("GET", self._learned_key))
        if text is None:
            return
        try:
            self._learning.restore(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("event=scaler_learned_unreadable error=%r", error)

    async def _save(self, now: float) -> None:
        if now - self._saved_at < SAVE_SECONDS:
            return
        self._saved_at = now
        try:
            await self._state.execute(("SET", self._learned_key, json.dumps(self._learning.dump())))
        except RedisError as error:
            # A full Redis: the fleet goes on without, and is what empties it.
            log.warning("event=scaler_learned_unsaved error=%s", error)

    async def _find_workers(self) -> _Workers:
        registered = [
            worker
            for worker in await list_workers(self._state)
            if worker.fleet == self._fleet.name and (worker.silent_seconds or 0.0) < SILENT_SECONDS
        ]
        flat, (seconds, microseconds) = await self._state.execute(("HGETALL", self._launches_key), ("TIME",))
        launched = {id_.decode(): float(at) for id_, at in zip(flat[::2], flat[1::2], strict=True)}
        now = int(seconds) + int(microseconds) / 1_000_000
        arrived = {worker.instance_id for worker in registered} & launched.keys()
        late = [id_ for id_, at in launched.items() if id_ not in arrived and now - at > BOOT_SECONDS]
        for id_ in arrived:
            self._learning.observe_boot(max(0.0, now - launched[id_]))
        if arrived or late:
            await self._state.execute(("HDEL", self._launches_key, *arrived, *late))
        if late:
            log.warning("event=workers_given_up instance_ids=%s reason=never_registered", ",".join(late))
            await self._fleet.discard(late)
        return _Workers(
            now=now,
            serving=tuple(worker for worker in registered if worker.state != "draining"),
            draining=tuple(worker for worker in registered if worker.state == "draining"),
            booting={id_: max(0.0, now - at) for id_, at in launched.items() if id_ not in arrived and id_ not in late},
        )

    async def _drain(self, victims: list[WorkerView]) -> None:
        for worker in victims:
            for shard in self._shards:
                try:
                    await send(shard, worker.name, Command("drain"))
                except ShardUnavailable:
                    continue
                break
