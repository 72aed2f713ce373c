"""Reconciles recorded instances with reality: fences workers that must go, and terminates instances that are empty."""

import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shards import Shards
from jobqueue.workers.fence import fence_worker, hold_workers, release_workers
from jobqueue.workers.registry import WorkerView
from scaler.apply.terminations import Terminations
from scaler.fleets.fleet import Fleet
from scaler.fleets.instances import DescribedInstance, Instance
from scaler.metrics import ScalerMetrics
from scaler.observe.instance_observer import InstanceObserver
from scaler.observe.instance_phases import Classification
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.store import ScalerState, ScalerStore, StateUpdate

DRAIN_REMINDER_SECONDS = 10.0
"""Interval between two drain commands to a worker that is still draining."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetState:
    """The fleet after reconciliation.

    Attributes:
        instances: by id.
        workers: live workers by the id of their instance.
        boot_durations: seconds from launch to registration of each worker that has just registered.
        is_described: the fleet has answered since this manager became the leader.
    """

    state: ScalerState
    instances: Mapping[str, Instance]
    workers: Mapping[str, WorkerView]
    boot_durations: Sequence[float]
    is_described: bool


class InstanceReconciler:
    """Terminates the instances of one fleet that have to go. It does so even while the scaler is paused.

    Args:
        clock: monotonic seconds.
        rng: source of backoff jitter.
    """

    def __init__(
        self,
        shards: Shards,
        fleet: Fleet,
        store: ScalerStore,
        metrics: ScalerMetrics,
        *,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._shards = shards
        self._terminations = Terminations(fleet, on_failure=metrics.failed, clock=clock, rng=rng)
        self._store = store
        self._metrics = metrics
        self._observer = InstanceObserver(shards, fleet, store, on_failure=metrics.failed, clock=clock, rng=rng)
        self._clock = clock
        self._drain_sent_at: dict[str, float] = {}

    def on_leadership_gained(self) -> None:
        """Start over: poll the fleet and send the drain commands again."""
        self._observer.on_leadership_gained()
        self._terminations.on_leadership_gained()
        self._drain_sent_at = {}

    async def reconcile(self, epoch: int, state: ScalerState, overdue_launches: Collection[str]) -> FleetState:
        """Classify all instances, save what changed, fence the workers that must go, terminate empty instances.

        Args:
            overdue_launches: see `FleetSnapshot`.

        Raises:
            ShardUnavailable, LeadershipLost: the next leader does the rest.
        """
        workers, found = await self._observer.observe(state, overdue_launches)
        breaker = self._update_breaker(state, found)
        documents = {"caution": breaker.dump()} if breaker != state.launch_breaker else None
        settled = found.settled_launches
        if found.changed or found.terminated or documents or settled:
            update = StateUpdate(found.changed, found.terminated, completed_intents=settled, documents=documents)
            await self._store.save(epoch, update)
            self._report_settled(settled)
        instances = dict(found.instances)
        draining = [each for each in instances.values() if each.terminating_at is not None and each.drained_at is None]
        fenced = await self.fence(draining, state.now)
        instances.update({each.id: each for each in fenced})
        terminated = await self._terminate(instances, state.now)
        if fenced or terminated:
            remaining = [each for each in fenced if each.id in instances]
            await self._store.save(epoch, StateUpdate(remaining, terminated=terminated))
        intents = [each for each in state.intents if each.token not in settled]
        state = replace(state, launch_breaker=breaker, intents=intents)
        return FleetState(state, instances, workers, found.boot_durations, self._observer.has_described)

    @asynccontextmanager
    async def hold(self, instances: Sequence[Instance]) -> AsyncIterator[Sequence[Instance]]:
        """Hold the workers of these instances while the block runs, so that their termination can be recorded.

        Yields:
            The instances whose workers claim no job on any shard from now on. The others work on, because a job waits
            that they could run. If the block fails, all of them work on.

        Raises:
            ShardUnavailable: none is held.
        """
        token = secrets.token_hex(8)
        names = {each.id for each in instances}
        held = set(names)
        try:
            for shard in self._shards if names else ():
                held &= await hold_workers(shard, sorted(names), token)
            await self._release(names - held, token)
            yield [each for each in instances if each.id in held]
        except BaseException:
            await self._release(names, token)
            raise

    async def fence(self, instances: Sequence[Instance], now: float) -> list[Instance]:
        """Fence the workers of these instances on every shard, and repeat the drain command until they exit.

        Returns:
            The instances that were fenced for the first time; their records must be saved.

        Raises:
            ShardUnavailable: some workers are not fenced on every shard yet.
        """
        self._drain_sent_at = {
            each.id: self._drain_sent_at[each.id] for each in instances if each.id in self._drain_sent_at
        }
        for instance in instances:
            if self._clock() - self._drain_sent_at.get(instance.id, float("-inf")) >= DRAIN_REMINDER_SECONDS:
                for shard in self._shards:
                    await fence_worker(shard, instance.id)
                self._drain_sent_at[instance.id] = self._clock()
        return [replace(each, fenced_at=now) for each in instances if each.fenced_at is None]

    async def _release(self, names: Collection[str], token: str) -> None:
        for shard in self._shards if names else ():
            with suppress(ShardUnavailable):  # The holds end by themselves.
                await release_workers(shard, sorted(names), token)

    def _update_breaker(self, state: ScalerState, found: Classification) -> LaunchBreaker:
        """Log and count what changed, and return the launch breaker after it."""
        for instance in found.newly_terminating:
            # A worker that has left in order, such as at the end of `workmanager up`, is no fault.
            level = logging.INFO if instance.reason == "worker_exited" else logging.WARNING
            log.log(level, "event=instance_terminating instance_id=%s reason=%s", instance.id, instance.reason)
        for id_ in found.terminated:
            if id_ in state.instances:
                self._report_terminated(state.instances[id_], state.now)
        for seconds in found.boot_durations:
            self._metrics.booted(seconds)
        failed = found.failed_boots
        breaker = state.launch_breaker.after_boots(len(found.boot_durations), len(failed), state.now)
        if failed:
            self._metrics.failed("boot", len(failed))
            log.error(
                "event=instances_never_registered instance_ids=%s consecutive_failures=%d",
                ",".join(failed),
                breaker.failed_boots,
            )
        if breaker.is_open and not state.launch_breaker.is_open:
            log.error(
                "event=launch_breaker_opened consecutive_failures=%d: instances start but their workers never register."
                " Only single probes are launched until one does. See the console output of one of these instances",
                breaker.failed_boots,
            )
        if state.launch_breaker.is_open and not breaker.is_open:
            log.info("event=launch_breaker_closed reason=worker_registered")
        return breaker

    async def _terminate(self, instances: dict[str, Instance], now: float) -> Sequence[str]:
        """Terminate the drained instances, remove them from `instances`, and return their ids.

        Those that cannot be terminated stay, and so count towards the limit.
        """
        drained = [each.id for each in instances.values() if each.drained_at is not None]
        terminated = await self._terminations.terminate(drained) if drained else ()
        for id_ in terminated:
            self._report_terminated(instances.pop(id_), now)
        return terminated

    def _report_settled(self, settled: Mapping[str, Sequence[DescribedInstance]]) -> None:
        for token, described in settled.items():
            log.info(
                "event=launch_settled token=%s launched=%d instance_ids=%s: the call had no answer",
                *(token, len(described), ",".join(each.id for each in described)),
            )
            self._metrics.launched(described[0].market if described else "", len(described))

    def _report_terminated(self, instance: Instance, now: float) -> None:
        log.info(
            "event=instance_terminated instance_id=%s reason=%s lived_seconds=%.0f",
            *(instance.id, instance.termination_reason, now - instance.launched_at),
        )
        self._metrics.terminated(instance, now)
