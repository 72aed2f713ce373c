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
from scaler.apply.round import Round, Scaler
from scaler.fleets.fleet import Fleet
from scaler.fleets.slow_call_watch import WatchedFleet
from scaler.metrics import Meter
from scaler.policy import Decision, Limits
from scaler.state.leader_election import Candidate
from scaler.state.store import LeaseLost

TICK_SECONDS = 1.0
LATE_SECONDS = 5.0
"""A call to the fleet that takes longer is told: as long as it does, no round follows."""
OUTAGE_SECONDS = 10.0
"""After Redis has been away for so long, workers may seem lost that only could not say that they live."""
SETTLE_SECONDS = 6.0
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
        meter: Meter,
        *,
        wait_target_seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._fleet = watched = WatchedFleet(fleet, clock=clock)
        self._clock = clock
        self._meter = meter
        self._candidate = Candidate(shards.all[0], address, clock=clock)
        self._scaler = Scaler(
            shards,
            watched,
            self._candidate,
            limits,
            meter,
            wait_target_seconds=wait_target_seconds,
            chance=chance or random.SystemRandom(),
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

    def ring(self) -> None:
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
            await self._candidate.resign()
        except JobQueueError as error:
            log.warning("event=scaler_resign_failed error=%s", error)
        await self._fleet.close()

    async def stand(self) -> int | None:
        """Takes or keeps the lease; its epoch, None where another manager has it.

        Raises:
            ShardUnavailable: nobody can lead.
        """
        leadership = await self._candidate.stand()
        if leadership.ours != self._leading:
            self._leading = leadership.ours
            epoch, address = leadership.epoch, leadership.address
            log.info("event=scaler_leader ours=%s epoch=%d address=%s", leadership.ours, epoch, address)
            self._begun = False
            if not leadership.ours:
                self._scaler.follow()
        return leadership.epoch if leadership.ours else None

    async def tick(self) -> Decision | None:
        """One round; None where another manager acts.

        Raises:
            ShardUnavailable: with numbers that are missing nothing is decided.
        """
        epoch = await self.stand()
        if epoch is None or self._clock() < self._settled_at:
            return None
        if not self._begun:
            await self._scaler.begin()
            self._begun = True
        began_at = time.perf_counter()
        try:
            done: Round = await self._scaler.act(epoch)
        except LeaseLost:
            log.warning("event=scaler_round_void epoch=%d reason=lease_lost", epoch)
            return None
        self._meter.round(time.perf_counter() - began_at)
        self._is_empty = done.is_empty
        return done.decision

    async def _keep_safely(self) -> None:
        for call in self._fleet.newly_late(LATE_SECONDS):
            log.warning(
                "event=scaler_round_waits fleet=%s call=%s seconds=%.0f: nothing is decided until it is answered",
                *(self._fleet.name, call, LATE_SECONDS),
            )
        if self._leading and not self._stopped:
            try:
                await self.stand()
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=scaler_lease_not_kept error=%s", error)

    async def _tick_safely(self) -> None:
        async with self._ticking:
            if self._stopped:
                return
            try:
                await self.tick()
            except (JobQueueError, RedisError, OSError) as error:
                if self._away_since is None:
                    self._away_since = self._clock()
                log.warning("event=scaler_tick_failed error=%s", error)
            except Exception:  # The loop's edge: what nobody thought of must not end the scaling for good.
                log.exception("event=scaler_tick_broken")
            else:
                if self._away_since is not None and self._clock() - self._away_since > OUTAGE_SECONDS:
                    self._settled_at = self._clock() + SETTLE_SECONDS
                self._away_since = None
