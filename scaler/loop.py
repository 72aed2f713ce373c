"""The scaler's loop: every manager runs it; the one that holds the lease acts."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.sharding.shards import Shards
from scaler.apply.round import RoundResult, ScalingRound
from scaler.fleets.fleet import Fleet
from scaler.fleets.slow_call_watch import SlowCallWatch
from scaler.metrics import ScalerMetrics
from scaler.policy import Decision, Limits
from scaler.state.leader_election import LeaderElector
from scaler.state.store import LeaseLost

TICK_SECONDS = 1.0
SLOW_CALL_SECONDS = 5.0
"""A call to the fleet that takes longer is told: as long as it does, no round follows."""
OUTAGE_SECONDS = 10.0
"""After Redis has been away for so long, workers may seem lost that only could not say that they live."""
RECOVERY_WAIT_SECONDS = 6.0
"""So they are waited for: longer than between two of their heartbeats."""

log = logging.getLogger(__name__)


class ScalerLoop:
    """Runs on an asyncio loop until it is stopped.

    Args:
        fleet: launches workers.
        limits: of the settings.
        address: host and port by which operators know this manager.
        wait_target_seconds: see `scaler.learn.learning.Learning`.
        clock: seconds that only grow.
        chance: for tokens and pauses; None: the system's, which nobody can foresee.
    """

    def __init__(
        self,
        shards: Shards,
        fleet: Fleet,
        limits: Limits,
        address: str,
        metrics: ScalerMetrics,
        *,
        wait_target_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._fleet = watched = SlowCallWatch(fleet, clock=clock)
        self._clock = clock
        self._meter = metrics
        self._candidate = LeaderElector(shards.all[0], address, clock=clock)
        self._scaler = ScalingRound(
            shards,
            watched,
            self._candidate,
            limits,
            metrics,
            wait_target_seconds=wait_target_seconds,
            rng=rng or random.SystemRandom(),
        )
        self._scheduler = AsyncIOScheduler()
        self._leading = False
        self._begun = False
        self._away_since: float | None = None
        self._settled_at = float("-inf")
        self._is_empty = True
        self._ticking = asyncio.Lock()
        self._stopped = False

    def start(self) -> None:
        """Begins to tick."""
        every_tick = {"trigger": "interval", "seconds": TICK_SECONDS, "max_instances": 1, "coalesce": True}
        # The lease is kept by itself: a round that waits for EC2 may take longer than it lasts.
        self._scheduler.add_job(self._keep_safely, **every_tick)
        self._scheduler.add_job(self._tick_safely, id="tick", **every_tick)
        self._scheduler.start()

    def wake(self) -> None:
        """A job has come: where nothing lived, that is worth a round at once."""
        if self._leading and self._is_empty and not self._stopped and not self._ticking.locked():
            self._is_empty = False
            self._scheduler.add_job(self._tick_safely, id="bell", replace_existing=True)

    async def stop(self) -> None:
        """Ends the loop, hands the lease over and lets go of the workers that this process started."""
        # A tick that is under way ends first (a shutdown would cut it short in the middle of a launch), and none that
        # follows takes the lease again.
        self._stopped = True
        async with self._ticking:
            self._scheduler.shutdown(wait=False)
        try:
            await self._candidate.release()
        except JobQueueError as error:
            log.warning("event=scaler_lease_release_failed error=%s", error)
        await self._fleet.close()

    async def acquire_leadership(self) -> int | None:
        """Takes or keeps the lease; its epoch, None where another manager has it.

        Raises:
            ShardUnavailable: nobody can lead.
        """
        leadership = await self._candidate.acquire()
        if leadership.is_leader != self._leading:
            self._leading = leadership.is_leader
            epoch, address = leadership.epoch, leadership.address
            log.info(
                "event=scaler_leader_changed is_leader=%s epoch=%d address=%s", leadership.is_leader, epoch, address
            )
            self._begun = False
            if not leadership.is_leader:
                self._scaler.on_leadership_lost()
        return leadership.epoch if leadership.is_leader else None

    async def tick(self) -> Decision | None:
        """One round; None where another manager acts.

        Raises:
            ShardUnavailable: with numbers that are missing nothing is decided.
        """
        epoch = await self.acquire_leadership()
        if epoch is None or self._clock() < self._settled_at:
            return None
        if not self._begun:
            await self._scaler.on_leadership_gained()
            self._begun = True
        began_at = time.perf_counter()
        try:
            done: RoundResult = await self._scaler.run(epoch)
        except LeaseLost:
            log.warning("event=scaler_round_fenced epoch=%d reason=lease_lost", epoch)
            return None
        self._meter.round_finished(time.perf_counter() - began_at)
        self._is_empty = done.is_empty
        return done.decision

    async def _keep_safely(self) -> None:
        for call in self._fleet.overdue(SLOW_CALL_SECONDS):
            log.warning(
                "event=scaler_round_slow fleet=%s call=%s seconds=%.0f: nothing is decided until it is answered",
                *(self._fleet.name, call, SLOW_CALL_SECONDS),
            )
        if self._leading and not self._stopped:
            try:
                await self.acquire_leadership()
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=scaler_lease_renewal_failed error=%s", error)

    async def _tick_safely(self) -> None:
        async with self._ticking:
            if self._stopped:
                return
            try:
                await self.tick()
            except (JobQueueError, RedisError, OSError) as error:
                if self._away_since is None:
                    self._away_since = self._clock()
                log.warning("event=scaler_round_failed error=%s", error)
            except Exception:  # The loop's edge: what nobody thought of must not end the scaling for good.
                log.exception("event=scaler_round_crashed")
            else:
                if self._away_since is not None and self._clock() - self._away_since > OUTAGE_SECONDS:
                    self._settled_at = self._clock() + RECOVERY_WAIT_SECONDS
                self._away_since = None
