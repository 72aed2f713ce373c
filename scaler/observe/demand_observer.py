"""Makes one observation of what the queue counts and what has become of the instances, and learns from it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from jobqueue.inspection.counters import ShardCounts, read_counts
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import Instance
from scaler.learn.learning import Estimators, QueueSnapshot
from scaler.observe.instance_phases import InstancePhase, phase_of
from scaler.observe.running_jobs import OutstandingJobs, RunningJobAges, apportion
from scaler.policy import Limits, Observation
from scaler.state.store import ScalerState, ScalerStore

SAVE_ESTIMATES_SECONDS = 30.0

log = logging.getLogger(__name__)


class DemandObserver:
    """Remembers what was learned, for as long as this manager leads.

    Args:
        boot_seconds: what a boot takes, until some have been seen.
        wait_target_seconds: see `Learning`.
    """

    def __init__(
        self, shards: Shards, limits: Limits, *, boot_seconds: float, wait_target_seconds: float | None = None
    ) -> None:
        self._shards = shards
        self._limits = limits
        self._boot_seconds = boot_seconds
        self._wait_target_seconds = wait_target_seconds
        self._saved_at = 0.0
        self._forget()

    @property
    def limits(self) -> Limits:
        """The limits with w as it stands."""
        return self._learning.limits

    async def restore(self, store: ScalerStore) -> None:
        """Goes on from what the last leader had learned; what this one knew has aged while it did not lead."""
        self._forget()
        try:
            state = await store.read_document("learned")
            if state is not None:
                self._learning.restore(state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("event=scaler_estimates_unreadable error=%r", error)

    def documents(self, now: float) -> Mapping[str, object]:
        """What the next leader should know, every `SAVE_SECONDS`."""
        if now - self._saved_at < SAVE_ESTIMATES_SECONDS:
            return {}
        self._saved_at = now
        return {"learned": self._learning.dump()}

    async def observe(
        self,
        state: ScalerState,
        instances: Mapping[str, Instance],
        workers: Mapping[str, WorkerView],
        boot_durations: Sequence[float],
        *,
        stale: bool,
    ) -> Observation:
        """What is, and what is known with it.

        Args:
            instances: as reviewed.
            workers: those that are heard of, by the id of their instance.
            boots: seconds that those took that have just come.
            stale: something is not known.

        Raises:
            ShardUnavailable: a shard is away.
        """
        for seconds in boot_durations:
            self._learning.observe_boot(seconds)
        phases = {id_: phase_of(instance, workers.get(id_)) for id_, instance in instances.items()}
        number = Counter(phases.values())
        serving = [workers[id_] for id_, phase in phases.items() if phase in (InstancePhase.IDLE, InstancePhase.BUSY)]
        coming = [
            state.now - instances[id_].launched_at for id_, phase in phases.items() if phase is InstancePhase.BOOTING
        ]
        coming += [state.now - intent.recorded_at for intent in state.intents for _ in range(intent.request.count)]
        counts = sum(await asyncio.gather(*(read_counts(shard) for shard in self._shards)), ShardCounts())
        total, functions = counts.total, counts.functions
        living = total.queued + total.scheduled + total.deferred + total.started
        jobs = self._outstanding.by_function(functions, living)
        queued = apportion(total.queued, jobs)
        ages = self._sightings.ages(serving, state.now)
        running = apportion(len(ages), jobs)
        names = (name for name, number in running.items() for _ in range(number))
        oldest_seconds = total.oldest_seconds or 0.0
        lessons = self._learning.observe(
            QueueSnapshot(
                now=state.now,
                queued=queued,
                running=list(zip(names, ages, strict=True)),
                ended={name: functions.finished.get(name, 0) for name in functions.finished},
                ended_seconds=functions.seconds,
                oldest_seconds=oldest_seconds,
                ready=len(serving),
                booting=len(coming),
            )
        )
        return Observation(
            now=state.now,
            queued=queued,
            oldest_seconds=oldest_seconds,
            running_ages=ages,
            idle=number[InstancePhase.IDLE],
            busy=number[InstancePhase.BUSY],
            draining=number[InstancePhase.DRAINING] + number[InstancePhase.LOST] + number[InstancePhase.ENDING],
            free_slots=sum(max(0, worker.slots - worker.running) for worker in serving),
            booting_ages=[max(0.0, age) for age in coming],
            estimates=lessons,
            stale=stale,
        )

    def _forget(self) -> None:
        self._learning = Estimators(
            self._limits, boot_seconds=self._boot_seconds, wait_target_seconds=self._wait_target_seconds
        )
        self._sightings = RunningJobAges()
        self._outstanding = OutstandingJobs()
