"""Observes the instances of one fleet: reads the worker registry, polls the fleet, and classifies what it finds."""

import logging
import random
from collections.abc import Callable, Collection, Mapping

from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, exited_cleanly, list_workers
from scaler.fleets.call_backoff import CallBackoff
from scaler.fleets.fleet import Fleet, FleetError
from scaler.fleets.instances import DescribedInstance
from scaler.fleets.local_processes import ended_before_registration
from scaler.observe.instance_phases import Classification, FleetSnapshot, classify, is_alive
from scaler.state.store import ScalerState, ScalerStore

MAX_PAUSE_POLLS = 12
"""The longest pause after failed polls, in intervals between two polls: a minute on EC2."""

log = logging.getLogger(__name__)


class InstanceObserver:
    """Polls one fleet: often while instances change, seldom otherwise (see `Profile`).

    Args:
        on_failure: called with a label for each failed call to the fleet.
        clock: monotonic seconds.
        rng: source of backoff jitter.
    """

    def __init__(
        self,
        shards: Shards,
        fleet: Fleet,
        store: ScalerStore,
        *,
        on_failure: Callable[[str], None],
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._shards = shards
        self._fleet = fleet
        self._store = store
        self._on_failure = on_failure
        self._described_at: float | None = None
        self._clock = clock
        poll_seconds = fleet.profile.poll_seconds
        self._backoff = CallBackoff(poll_seconds, MAX_PAUSE_POLLS * poll_seconds, clock=clock, rng=rng)

    @property
    def has_described(self) -> bool:
        """Whether the fleet has answered since this manager became the leader."""
        return self._described_at is not None

    def on_leadership_gained(self) -> None:
        """Poll the fleet in the next round."""
        self._described_at = None
        self._backoff.reset()

    async def observe(
        self, state: ScalerState, overdue_launches: Collection[str]
    ) -> tuple[Mapping[str, WorkerView], Classification]:
        """Return the live workers by the id of their instance, and all instances classified.

        Args:
            overdue_launches: see `FleetSnapshot`.

        Raises:
            ShardUnavailable: the first shard is unavailable.
        """
        shard = self._shards.all[0]
        listed = {
            worker.instance_id: worker
            for worker in await list_workers(shard)
            if worker.fleet == self._fleet.name and worker.native
        }
        exited = await exited_cleanly(shard, [id_ for id_ in state.instances if id_ not in listed])
        workers = {id_: worker for id_, worker in listed.items() if is_alive(worker)}
        described = await self._describe(state)
        terminated = set[str]()
        if described is not None or workers.keys() - state.instances.keys():
            terminated = await self._store.recently_terminated()
            workers = {id_: worker for id_, worker in workers.items() if id_ not in terminated}
        snapshot = FleetSnapshot(workers, exited, described, terminated, overdue_launches)
        return workers, classify(state, snapshot, self._fleet.profile)

    async def _describe(self, state: ScalerState) -> Mapping[str, DescribedInstance] | None:
        """Return the fleet's instances by id; None if the next poll is not due or the fleet does not answer."""
        profile = self._fleet.profile
        is_changing = bool(state.intents) or any(each.is_changing for each in state.instances.values())
        pause_seconds = profile.poll_seconds if is_changing else profile.idle_poll_seconds
        is_early = self._described_at is not None and self._clock() - self._described_at < pause_seconds
        if is_early or self._backoff.is_paused:
            return None
        try:
            described = await self._fleet.describe()
        except FleetError as error:
            if self._backoff.failed(error.cause.value):
                log.warning("event=fleet_describe_failed cause=%s error=%s", error.cause.value, error.explained)
            self._on_failure(f"describe_{error.cause.value}")
            return None
        self._described_at = self._clock()
        if (seconds := self._backoff.succeeded()) is not None:
            log.info("event=fleet_describe_recovered after_seconds=%.1f", seconds)
        ended = ended_before_registration(state.instances.values())
        return {each.id: each for each in (*ended, *described)}  # Of its own instances, the fleet knows more.
