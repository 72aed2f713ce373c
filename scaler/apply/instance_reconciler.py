"""The first half of a round: what has become of the instances, and the end of those that are to go."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, exited_cleanly, fence_worker, list_workers
from scaler.fleets.fleet import Fleet, FleetError
from scaler.fleets.instances import DescribedInstance, Instance
from scaler.metrics import ScalerMetrics
from scaler.observe.instance_phases import Classification, FleetSnapshot, classify, is_alive
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.store import ScalerState, ScalerStore, StateUpdate

DRAIN_REMINDER_SECONDS = 10.0
"""Between two messages to a worker that is to drain."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FleetState:
    """How things stand.

    Attributes:
        instances: by id.
        workers: those that are heard of, by the id of their instance.
        boots: seconds that those took that have just come.
        is_seen: the fleet has been looked at since this manager leads.
    """

    state: ScalerState
    instances: Mapping[str, Instance]
    workers: Mapping[str, WorkerView]
    boot_durations: Sequence[float]
    is_described: bool


class InstanceReconciler:
    """Looks at one fleet, and ends what is to end. Goes on while the scaler is paused."""

    def __init__(self, shards: Shards, fleet: Fleet, store: ScalerStore, metrics: ScalerMetrics) -> None:
        self._shards = shards
        self._fleet = fleet
        self._ledger = store
        self._meter = metrics
        self._looked_at: float | None = None
        self._told_at: dict[str, float] = {}

    def on_leadership_gained(self) -> None:
        """This manager leads from now on: the fleet is to be looked at."""
        self._looked_at = None
        self._told_at = {}

    async def reconcile(self, epoch: int, state: ScalerState) -> FleetState:
        """Looks, and ends what is to end.

        Raises:
            ShardUnavailable, LeaseLost: whatever was not done is done by whoever leads next.
        """
        workers, reviewed = await self._review(state)
        caution = self._heed(state, reviewed)
        notes = {"caution": caution.dump()} if caution != state.launch_breaker else None
        if reviewed.changed or reviewed.terminated or notes:
            await self._ledger.save(
                epoch, StateUpdate(reviewed.changed, terminated=reviewed.terminated, documents=notes)
            )
        instances = dict(reviewed.instances)
        closing = [each for each in instances.values() if each.terminating_at is not None and each.drained_at is None]
        cut_off = await self.fence(closing, state.now)
        instances.update({each.id: each for each in cut_off})
        gone = await self._terminate(instances, state.now)
        if cut_off or gone:
            await self._ledger.save(
                epoch, StateUpdate([each for each in cut_off if each.id in instances], terminated=gone)
            )
        now_known = replace(state, launch_breaker=caution)
        return FleetState(now_known, instances, workers, reviewed.boot_durations, self._looked_at is not None)

    async def fence(self, instances: Sequence[Instance], now: float) -> list[Instance]:
        """Cuts workers off from new work on every shard, and tells them to drain, again and again until they do.

        Returns:
            Those to be written down, because it has not been done before.

        Raises:
            ShardUnavailable: some are not cut off on every shard yet.
        """
        self._told_at = {each.id: self._told_at[each.id] for each in instances if each.id in self._told_at}
        for instance in instances:
            if now - self._told_at.get(instance.id, float("-inf")) >= DRAIN_REMINDER_SECONDS:
                for shard in self._shards:
                    await fence_worker(shard, instance.id)
                self._told_at[instance.id] = now
        return [replace(each, fenced_at=now) for each in instances if each.fenced_at is None]

    async def _review(self, book: ScalerState) -> tuple[Mapping[str, WorkerView], Classification]:
        state = self._shards.all[0]
        listed = {
            worker.instance_id: worker
            for worker in await list_workers(state)
            if worker.fleet == self._fleet.name and worker.native
        }
        left = await exited_cleanly(state, [id_ for id_ in book.instances if id_ not in listed])
        heard = {id_: worker for id_, worker in listed.items() if is_alive(worker)}
        sightings = await self._look(book)
        gone = set[str]()
        if sightings is not None or heard.keys() - book.instances.keys():
            gone = await self._ledger.recently_terminated()
            heard = {id_: worker for id_, worker in heard.items() if id_ not in gone}
        return heard, classify(book, FleetSnapshot(heard, left, sightings, gone), self._fleet.profile)

    async def _look(self, book: ScalerState) -> Mapping[str, DescribedInstance] | None:
        """What the fleet shows; None where it is not yet time to look, or it shows nothing."""
        profile = self._fleet.profile
        is_changing = bool(book.intents) or any(each.is_changing for each in book.instances.values())
        pause_seconds = profile.poll_seconds if is_changing else profile.idle_poll_seconds
        if self._looked_at is not None and book.now - self._looked_at < pause_seconds:
            return None
        try:
            sightings = await self._fleet.describe()
        except FleetError as error:
            log.warning("event=fleet_describe_failed cause=%s error=%s", error.cause.value, error)
            self._meter.failed(f"look_{error.cause.value}")
            return None
        self._looked_at = book.now
        return {sighting.id: sighting for sighting in sightings}

    def _heed(self, book: ScalerState, reviewed: Classification) -> LaunchBreaker:
        """Says what has changed, and what is to be minded from now on."""
        for instance in reviewed.newly_terminating:
            log.warning("event=instance_terminating instance_id=%s reason=%s", instance.id, instance.reason)
        for id_ in reviewed.terminated:
            if id_ in book.instances:
                self._say_gone(book.instances[id_], book.now)
        for seconds in reviewed.boot_durations:
            self._meter.booted(seconds)
        failed = reviewed.failed_boots
        caution = book.launch_breaker.after_boots(len(reviewed.boot_durations), len(failed), book.now)
        if failed:
            self._meter.failed("boot", len(failed))
            ids = ",".join(failed)
            log.error("event=instances_never_registered instance_ids=%s failed_in_a_row=%d", ids, caution.failed_boots)
        if caution.is_open and not book.launch_breaker.is_open:
            log.error(
                "event=launch_breaker_opened failed_in_a_row=%d: instances start and bring no worker, so only single"
                " probes are launched until one does; see the console output of one of them",
                caution.failed_boots,
            )
        if book.launch_breaker.is_open and not caution.is_open:
            log.info("event=launch_breaker_closed reason=a_worker_came")
        return caution

    async def _terminate(self, instances: dict[str, Instance], now: float) -> Sequence[str]:
        """Ends the empty ones and takes them out of `instances`; the ids of those that are gone."""
        empty = [each.id for each in instances.values() if each.drained_at is not None]
        if not empty:
            return ()
        try:
            gone = sorted(await self._fleet.terminate(empty))
        except FleetError as error:
            log.warning("event=termination_failed instance_ids=%s error=%s", ",".join(empty), error)
            self._meter.failed(f"terminate_{error.cause.value}")
            return ()
        for id_ in gone:
            self._say_gone(instances.pop(id_), now)
        return gone

    def _say_gone(self, instance: Instance, now: float) -> None:
        log.info(
            "event=instance_terminated instance_id=%s reason=%s lived_seconds=%.0f",
            *(instance.id, instance.reason or "unasked", now - instance.launched_at),
        )
        self._meter.terminated(instance, now)
