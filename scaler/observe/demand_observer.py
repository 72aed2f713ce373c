"""Builds the policy's observation: counts queued jobs, combines them with the workers, and updates the estimates."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jobqueue.inspection.counters import QueueCounts, ShardCounts, read_counts
from jobqueue.model import ALL_QUEUES, serves
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import Instance
from scaler.learn.learning import Estimators, QueueSnapshot
from scaler.observe.instance_phases import InstancePhase, phase_of
from scaler.observe.running_jobs import OutstandingJobs, RunningJobAges, ServedJobs, apportion
from scaler.policy import Estimates, Limits, Observation
from scaler.state.store import ScalerState, ScalerStore

SAVE_ESTIMATES_SECONDS = 30.0
"""Interval at which the estimates are saved for the next leader."""

log = logging.getLogger(__name__)


class DemandObserver:
    """Observes the demand, and holds the estimates while this manager is the leader.

    Args:
        boot_seconds: initial estimate of the boot time.
        wait_target_seconds: see `Estimators`.
        managed_queues: those that the scaler's workers serve.
    """

    def __init__(
        self,
        shards: Shards,
        limits: Limits,
        *,
        boot_seconds: float,
        wait_target_seconds: float | None = None,
        managed_queues: Sequence[str] = ALL_QUEUES,
    ) -> None:
        self._shards = shards
        self._managed_queues = managed_queues
        self._limits = limits
        self._boot_seconds = boot_seconds
        self._wait_target_seconds = wait_target_seconds
        self._saved_at = 0.0
        self._reset()

    @property
    def limits(self) -> Limits:
        """The limits with the current wait weight."""
        return self._estimators.limits

    async def restore(self, store: ScalerStore) -> None:
        """Continue from the last leader's estimates; this manager's own are outdated."""
        self._reset()
        try:
            state = await store.read_document("learned")
            if state is not None:
                self._estimators.restore(state)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            log.warning("event=scaler_estimates_unreadable error=%r", error)
            self._reset()

    def on_clock_step(self) -> None:
        """Keep what was learned, and forget the times of what was seen: Redis' clock has stepped."""
        learned = self._estimators.dump()
        self._reset()
        self._estimators.restore(learned)
        self._saved_at = 0.0

    def documents(self, now: float) -> Mapping[str, object]:
        """Return the documents to save: the estimates every `SAVE_ESTIMATES_SECONDS`, otherwise none."""
        if now - self._saved_at < SAVE_ESTIMATES_SECONDS:
            return {}
        self._saved_at = now
        return {"learned": self._estimators.dump()}

    async def observe(
        self,
        state: ScalerState,
        instances: Mapping[str, Instance],
        workers: Mapping[str, WorkerView],
        boot_durations: Sequence[float],
        *,
        stale: bool,
    ) -> Observation:
        """Return one observation.

        Args:
            instances: by id.
            workers: live workers by the id of their instance.
            boot_durations: seconds from launch to registration of each worker that has just registered.
            stale: the fleet has not been described yet.

        Raises:
            ShardUnavailable: a shard is unavailable.
        """
        for seconds in boot_durations:
            self._estimators.observe_boot(seconds)
        phases = {id_: phase_of(instance, workers.get(id_)) for id_, instance in instances.items()}
        count = Counter(phases.values())
        serving = [workers[id_] for id_, phase in phases.items() if phase in (InstancePhase.IDLE, InstancePhase.BUSY)]
        booting_ages = [
            state.now - instances[id_].launched_at for id_, phase in phases.items() if phase is InstancePhase.BOOTING
        ]
        booting_ages += [
            state.now - intent.recorded_at for intent in state.intents for _ in range(intent.request.count)
        ]
        by_shard = await asyncio.gather(*(read_counts(shard) for shard in self._shards))
        counts = sum(by_shard, ShardCounts())
        total, functions = counts.total, counts.functions
        unfinished = total.queued + total.scheduled + total.deferred + total.started
        jobs = self._outstanding.by_function(functions, unfinished)
        queues = [(each, name, queue) for each in by_shard for name, queue in each.queues.items()]
        paused = _sum(queue for each, name, queue in queues if _is_paused(each, name))
        runnable = _sum(
            queue for each, name, queue in queues if not _is_paused(each, name) and serves(self._managed_queues, name)
        )
        queued = apportion(runnable.queued + runnable.limited, jobs)
        ages = self._running_ages.ages(serving, state.now)
        running = apportion(len(ages), jobs)
        names = (name for name, jobs_running in running.items() for _ in range(jobs_running))
        oldest_seconds = runnable.oldest_seconds or 0.0
        estimates = self._update_estimates(
            QueueSnapshot(
                now=state.now,
                queued=queued,
                running=list(zip(names, ages, strict=True)),
                ended=functions.finished,
                ended_seconds=functions.seconds,
                served=self._served.since_last(serving),
                oldest_seconds=oldest_seconds,
                ready=len(serving),
                booting=len(booting_ages),
            )
        )
        return Observation(
            now=state.now,
            queued=queued,
            oldest_seconds=oldest_seconds,
            running_ages=ages,
            idle_ages=[
                state.now - (instances[id_].arrived_at or state.now)
                for id_, phase in phases.items()
                if phase is InstancePhase.IDLE
            ],
            busy=count[InstancePhase.BUSY],
            draining=count[InstancePhase.DRAINING] + count[InstancePhase.LOST] + count[InstancePhase.ENDING],
            free_slots=sum(max(0, worker.slots - worker.running) for worker in serving),
            booting_ages=[max(0.0, age) for age in booting_ages],
            estimates=estimates,
            stale=stale,
            paused=paused.queued,
            unserved=total.queued - paused.queued - runnable.queued,
        )

    def _update_estimates(self, snapshot: QueueSnapshot) -> Estimates:
        try:
            return self._estimators.observe(snapshot)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            # What the last leader has left makes no sense: learn anew rather than fail in every round.
            log.warning("event=scaler_estimates_unreadable error=%r", error)
            self._reset()
            return self._estimators.observe(snapshot)

    def _reset(self) -> None:
        self._estimators = Estimators(
            self._limits, boot_seconds=self._boot_seconds, wait_target_seconds=self._wait_target_seconds
        )
        self._running_ages = RunningJobAges()
        self._served = ServedJobs()
        self._outstanding = OutstandingJobs()


def _is_paused(shard: ShardCounts, queue: str) -> bool:
    """Whether no worker takes jobs of this queue on this shard: it is paused, or all workers are suspended."""
    return shard.suspended or queue in shard.paused


def _sum(queues: Iterable[QueueCounts]) -> QueueCounts:
    return sum(queues, QueueCounts())
