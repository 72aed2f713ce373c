"""The scaler's control loop: every manager runs it, and the one that holds the leader lease acts."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from jobqueue.backoff import Outage
from jobqueue.errors import JobQueueError
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shards import Shards
from scaler.apply.round import ClockStepped, RoundResult, ScalingRound
from scaler.fleets.call_watch import CallWatch
from scaler.fleets.fleet import Fleet
from scaler.metrics import ScalerMetrics
from scaler.policy import Decision, Limits
from scaler.schedule import PeriodicTasks
from scaler.state.leader_election import LeaderElector
from scaler.state.store import LeadershipLost

ROUND_SECONDS = 1.0
"""Interval between two rounds, and between two renewals of the leader lease."""
SLOW_CALL_SECONDS = 5.0
"""A call to the fleet that takes longer is logged, because no round runs until it is answered."""
OUTAGE_SECONDS = 10.0
"""After Redis has been unavailable for this long, live workers can seem lost: they could not send heartbeats."""
RECOVERY_WAIT_SECONDS = 6.0
"""Pause after such an outage, and after a step of Redis' clock, before the next round: longer than the interval between
two heartbeats."""
STAND_BACK_SECONDS = 15.0
"""How long a manager whose calls are refused leaves the lead to others, which ask for it in each of their rounds."""

log = logging.getLogger(__name__)


class ScalerLoop:
    """Runs on an asyncio loop until it is stopped.

    Args:
        fleet: provider of the workers' instances.
        limits: limits from the settings.
        address: host and port that identify this manager to operators.
        wait_target_seconds: see `scaler.learn.learning.Estimators`.
        managed_queues: those that the fleet's workers serve.
        clock: monotonic seconds.
        rng: source of launch tokens and backoff jitter; None: the system's, which cannot be predicted.
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
        managed_queues: Sequence[str] = ALL_QUEUES,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._fleet = CallWatch(fleet, clock=clock)
        self._clock = clock
        self._metrics = metrics
        self._elector = LeaderElector(shards.all[0], address, clock=clock)
        self._round = ScalingRound(
            shards,
            self._fleet,
            self._elector,
            limits,
            metrics,
            wait_target_seconds=wait_target_seconds,
            managed_queues=managed_queues,
            clock=clock,
            rng=rng or random.SystemRandom(),
        )
        self._tasks = PeriodicTasks()
        self._is_leader = False
        self._epoch, self._handed_over_epoch = 0, -1
        self._is_prepared = False
        self._outage, self._crashes = Outage(clock), Outage(clock)
        self._resume_at = self._stands_back_until = float("-inf")
        self._is_empty = True
        self._round_lock = asyncio.Lock()
        self._stopped = False

    def start(self) -> None:
        """Schedule the rounds."""
        # The lease is renewed apart from the rounds, because a round that waits for EC2 can take longer than the lease.
        self._tasks.add(self._renew_lease, ROUND_SECONDS, id_="lease")
        self._tasks.add(self._report_slow_calls, ROUND_SECONDS, id_="slow_calls")
        self._tasks.add(self._run_round_safely, ROUND_SECONDS, id_="round")
        self._tasks.start()

    def wake(self) -> None:
        """Run a round at once if the system was empty: a job has arrived."""
        if self._is_leader and self._is_empty and not self._stopped and not self._round_lock.locked():
            self._is_empty = False
            self._tasks.run_now(self._run_round_safely, id_="wake")

    async def stop(self) -> None:
        """End the loop, release the lease, and drain the workers that this process started."""
        # The current round must end first: the scheduler's shutdown would cancel it in the middle of a launch. Once
        # `_stopped` is set, no later round acquires the lease again.
        self._stopped = True
        async with self._round_lock:
            self._tasks.stop()
        try:
            await self._elector.release()
        except JobQueueError as error:
            log.warning("event=scaler_lease_release_failed error=%s", error)
        await self._fleet.close()

    async def acquire_leadership(self) -> int | None:
        """Acquire or renew the leader lease; return its epoch, or None if another manager holds it or should get it.

        Raises:
            ShardUnavailable: no manager can lead.
        """
        if self._stands_back:
            return None
        leadership = await self._elector.acquire()
        if self._stands_back:  # since it asked
            await self._elector.release()
            return None
        # If the lease has only expired, the epoch has grown by one. Otherwise another manager has led meanwhile.
        was_away = leadership.is_leader and leadership.epoch > self._epoch + 1
        self._epoch = leadership.epoch
        if leadership.is_leader != self._is_leader or was_away:
            self._is_leader = leadership.is_leader
            # A manager that handed over, and leads again before any other one has, knows all that it knew.
            self._is_prepared = leadership.epoch == self._handed_over_epoch + 1
            log.info(
                "event=scaler_leader_changed is_leader=%s epoch=%d address=%s",
                *(leadership.is_leader, leadership.epoch, leadership.address),
            )
            if not leadership.is_leader:
                self._round.on_leadership_lost()
        return leadership.epoch if leadership.is_leader else None

    async def run_round(self) -> Decision | None:
        """Run one round; return None if another manager leads, or while waiting for heartbeats after an outage or a
        step of Redis' clock.

        Raises:
            ShardUnavailable: nothing is decided on incomplete numbers.
        """
        epoch = await self.acquire_leadership()
        if epoch is None or self._clock() < self._resume_at:
            return None
        if not self._is_prepared:
            await self._round.on_leadership_gained()
            self._is_prepared = True
        started_at = time.perf_counter()
        try:
            result: RoundResult = await self._round.run(epoch)
        except LeadershipLost:
            log.warning("event=scaler_round_superseded epoch=%d reason=leadership_lost", epoch)
            return None
        except ClockStepped:
            self._resume_at = self._clock() + RECOVERY_WAIT_SECONDS
            return None
        self._metrics.round_finished(time.perf_counter() - started_at)
        self._is_empty = result.is_empty
        if (seconds := self._fleet.refused.overdue_seconds()) is not None:
            await self._hand_over(epoch, seconds)
        return result.decision

    @property
    def _stands_back(self) -> bool:
        return self._clock() < self._stands_back_until

    async def _hand_over(self, epoch: int, seconds: float) -> None:
        """Let another manager lead, whose calls may be allowed."""
        log.warning(
            "event=scaler_handed_over epoch=%d seconds=%.0f: the fleet refuses this manager's calls, so another one can"
            " lead for %.0f s",
            *(epoch, seconds, STAND_BACK_SECONDS),
        )
        with suppress(LeadershipLost):  # Then another one leads already.
            await self._round.end_pauses(epoch)
        self._fleet.refused.start_over()
        self._stands_back_until = self._clock() + STAND_BACK_SECONDS
        self._is_leader, self._handed_over_epoch = False, epoch
        self._round.on_leadership_lost()
        await self._elector.release()

    async def _report_slow_calls(self) -> None:
        for call in self._fleet.pop_overdue(SLOW_CALL_SECONDS):
            log.warning(
                "event=scaler_round_slow fleet=%s call=%s seconds=%.0f: no round runs until the fleet answers",
                *(self._fleet.name, call, SLOW_CALL_SECONDS),
            )

    async def _renew_lease(self) -> None:
        if self._is_leader and not self._stopped:
            try:
                await self.acquire_leadership()
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=scaler_lease_renewal_failed error=%s", error)
                if not self._elector.holds_lease:
                    self._metrics.hide_fleet()

    async def _run_round_safely(self) -> None:
        async with self._round_lock:
            if self._stopped:
                return
            try:
                await self.run_round()
            except (JobQueueError, RedisError, OSError) as error:
                if self._outage.begin():
                    log.warning("event=scaler_round_failed error=%s", error)
            except Exception as error:  # The loop's edge: an unexpected error must not end the scaling for good.
                if self._crashes.begin(repr(error)):
                    log.exception("event=scaler_round_crashed")
            else:
                if self._outage.seconds > OUTAGE_SECONDS:
                    self._resume_at = self._clock() + RECOVERY_WAIT_SECONDS
                self._report_recovery()

    def _report_recovery(self) -> None:
        outages = [seconds for seconds in (self._outage.end(), self._crashes.end()) if seconds is not None]
        if outages:
            log.info("event=scaler_round_recovered after_seconds=%.1f", max(outages))
