"""Makes one observation of what the queue counts and what has become of the instances, and learns from it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from jobqueue.inspection.counters import ShardCounts, count
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView
from scaler.fleets.instances import Instance
from scaler.learn.learning import Counts, Learning
from scaler.observe.instance_phases import Phase, phase_of
from scaler.observe.running_jobs import Outstanding, Sightings, spread
from scaler.policy import Limits, Observation
from scaler.state.store import Book, Ledger

SAVE_SECONDS = 30.0

log = logging.getLogger(__name__)


class Observer:
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

    async def restore(self, ledger: Ledger) -> None:
        """Goes on from what the last leader had learned; what this one knew has aged while it did not lead."""
        self._forget()
        try:
            state = await ledger.note("learned")
            if state is not None:
                self._learning.restore(state)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("event=scaler_learned_unreadable error=%r", error)

    def notes(self, now: float) -> Mapping[str, object]:
        """What the next leader should know, every `SAVE_SECONDS`."""
        if now - self._saved_at < SAVE_SECONDS:
            return {}
        self._saved_at = now
        return {"learned": self._learning.dump()}

    async def observe(
        self,
        book: Book,
        instances: Mapping[str, Instance],
        workers: Mapping[str, WorkerView],
        boots: Sequence[float],
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
        for seconds in boots:
            self._learning.observe_boot(seconds)
        phases = {id_: phase_of(instance, workers.get(id_)) for id_, instance in instances.items()}
        number = Counter(phases.values())
        serving = [workers[id_] for id_, phase in phases.items() if phase in (Phase.IDLE, Phase.BUSY)]
        coming = [book.now - instances[id_].launched_at for id_, phase in phases.items() if phase is Phase.BOOTING]
        coming += [book.now - intent.at for intent in book.intents for _ in range(intent.order.count)]
        counts = sum(await asyncio.gather(*(count(shard) for shard in self._shards)), ShardCounts())
        total, functions = counts.total, counts.functions
        living = total.queued + total.scheduled + total.deferred + total.started
        jobs = self._outstanding.by_function(functions, living)
        queued = spread(total.queued, jobs)
        ages = self._sightings.ages(serving, book.now)
        running = spread(len(ages), jobs)
        names = (name for name, number in running.items() for _ in range(number))
        oldest_seconds = total.oldest_seconds or 0.0
        lessons = self._learning.observe(
            Counts(
                now=book.now,
                queued=queued,
                running=list(zip(names, ages, strict=True)),
                ended={name: functions.finished.get(name, 0) for name in functions.finished},
                ended_seconds=functions.seconds,
                oldest_seconds=oldest_seconds,
                ready=len(serving),
                coming=len(coming),
            )
        )
        return Observation(
            now=book.now,
            queued=queued,
            oldest_seconds=oldest_seconds,
            running_ages=ages,
            idle=number[Phase.IDLE],
            busy=number[Phase.BUSY],
            draining=number[Phase.DRAINING] + number[Phase.LOST] + number[Phase.ENDING],
            free_slots=sum(max(0, worker.slots - worker.running) for worker in serving),
            booting_ages=[max(0.0, age) for age in coming],
            lessons=lessons,
            stale=stale,
        )

    def _forget(self) -> None:
        self._learning = Learning(
            self._limits, boot_seconds=self._boot_seconds, wait_target_seconds=self._wait_target_seconds
        )
        self._sightings = Sightings()
        self._outstanding = Outstanding()
