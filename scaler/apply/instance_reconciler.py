"""The first half of a round: what has become of the instances, and the end of those that are to go."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, close, list_workers, which_left
from scaler.fleets.fleet import Fleet, FleetError
from scaler.fleets.instances import Instance, Sighting
from scaler.metrics import Meter
from scaler.observe.instance_phases import Review, Seen, is_heard, review
from scaler.state.launch_breaker import Caution
from scaler.state.store import Amendment, Book, Ledger

TELL_SECONDS = 10.0
"""Between two messages to a worker that is to drain."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand.

    Attributes:
        instances: by id.
        workers: those that are heard of, by the id of their instance.
        boots: seconds that those took that have just come.
        is_seen: the fleet has been looked at since this manager leads.
    """

    book: Book
    instances: Mapping[str, Instance]
    workers: Mapping[str, WorkerView]
    boots: Sequence[float]
    is_seen: bool


class Clearing:
    """Looks at one fleet, and ends what is to end. Goes on while the scaler is paused."""

    def __init__(self, shards: Shards, fleet: Fleet, ledger: Ledger, meter: Meter) -> None:
        self._shards = shards
        self._fleet = fleet
        self._ledger = ledger
        self._meter = meter
        self._looked_at: float | None = None
        self._told_at: dict[str, float] = {}

    def begin(self) -> None:
        """This manager leads from now on: the fleet is to be looked at."""
        self._looked_at = None
        self._told_at = {}

    async def clear(self, epoch: int, book: Book) -> Standing:
        """Looks, and ends what is to end.

        Raises:
            ShardUnavailable, LeaseLost: whatever was not done is done by whoever leads next.
        """
        workers, reviewed = await self._review(book)
        caution = self._heed(book, reviewed)
        notes = {"caution": caution.dump()} if caution != book.caution else None
        if reviewed.changed or reviewed.gone or notes:
            await self._ledger.amend(epoch, Amendment(reviewed.changed, gone=reviewed.gone, notes=notes))
        instances = dict(reviewed.instances)
        closing = [each for each in instances.values() if each.closing_at is not None and each.empty_at is None]
        cut_off = await self.cut_off(closing, book.now)
        instances.update({each.id: each for each in cut_off})
        gone = await self._terminate(instances, book.now)
        if cut_off or gone:
            await self._ledger.amend(epoch, Amendment([each for each in cut_off if each.id in instances], gone=gone))
        now_known = replace(book, caution=caution)
        return Standing(now_known, instances, workers, reviewed.boots, self._looked_at is not None)

    async def cut_off(self, closing: Sequence[Instance], now: float) -> list[Instance]:
        """Cuts workers off from new work on every shard, and tells them to drain, again and again until they do.

        Returns:
            Those to be written down, because it has not been done before.

        Raises:
            ShardUnavailable: some are not cut off on every shard yet.
        """
        self._told_at = {each.id: self._told_at[each.id] for each in closing if each.id in self._told_at}
        for instance in closing:
            if now - self._told_at.get(instance.id, float("-inf")) >= TELL_SECONDS:
                for shard in self._shards:
                    await close(shard, instance.id)
                self._told_at[instance.id] = now
        return [replace(each, cut_off_at=now) for each in closing if each.cut_off_at is None]

    async def _review(self, book: Book) -> tuple[Mapping[str, WorkerView], Review]:
        state = self._shards.all[0]
        listed = {
            worker.instance_id: worker
            for worker in await list_workers(state)
            if worker.fleet == self._fleet.name and worker.ours
        }
        left = await which_left(state, [id_ for id_ in book.instances if id_ not in listed])
        heard = {id_: worker for id_, worker in listed.items() if is_heard(worker)}
        sightings = await self._look(book)
        gone = set[str]()
        if sightings is not None or heard.keys() - book.instances.keys():
            gone = await self._ledger.gone()
            heard = {id_: worker for id_, worker in heard.items() if id_ not in gone}
        return heard, review(book, Seen(heard, left, sightings, gone), self._fleet.profile)

    async def _look(self, book: Book) -> Mapping[str, Sighting] | None:
        """What the fleet shows; None where it is not yet time to look, or it shows nothing."""
        profile = self._fleet.profile
        is_changing = bool(book.intents) or any(each.is_changing for each in book.instances.values())
        pause_seconds = profile.look_seconds if is_changing else profile.rest_seconds
        if self._looked_at is not None and book.now - self._looked_at < pause_seconds:
            return None
        try:
            sightings = await self._fleet.look()
        except FleetError as error:
            log.warning("event=fleet_unseen cause=%s error=%s", error.cause.value, error)
            self._meter.failed(f"look_{error.cause.value}")
            return None
        self._looked_at = book.now
        return {sighting.id: sighting for sighting in sightings}

    def _heed(self, book: Book, reviewed: Review) -> Caution:
        """Says what has changed, and what is to be minded from now on."""
        for instance in reviewed.closed:
            log.warning("event=instance_closing instance_id=%s reason=%s", instance.id, instance.reason)
        for id_ in reviewed.gone:
            if id_ in book.instances:
                self._say_gone(book.instances[id_], book.now)
        for seconds in reviewed.boots:
            self._meter.booted(seconds)
        failed = reviewed.failed_boots
        caution = book.caution.after_boots(len(reviewed.boots), len(failed), book.now)
        if failed:
            self._meter.failed("boot", len(failed))
            ids = ",".join(failed)
            log.error("event=boots_failed instance_ids=%s failed_in_a_row=%d", ids, caution.failed_boots)
        if caution.is_tripped and not book.caution.is_tripped:
            log.error(
                "event=scaler_breaker_tripped failed_in_a_row=%d: instances start and bring no worker, so only single"
                " probes are launched until one does; see the console output of one of them",
                caution.failed_boots,
            )
        if book.caution.is_tripped and not caution.is_tripped:
            log.info("event=scaler_breaker_reset reason=a_worker_came")
        return caution

    async def _terminate(self, instances: dict[str, Instance], now: float) -> Sequence[str]:
        """Ends the empty ones and takes them out of `instances`; the ids of those that are gone."""
        empty = [each.id for each in instances.values() if each.empty_at is not None]
        if not empty:
            return ()
        try:
            gone = sorted(await self._fleet.terminate(empty))
        except FleetError as error:
            log.warning("event=terminate_failed instance_ids=%s error=%s", ",".join(empty), error)
            self._meter.failed(f"terminate_{error.cause.value}")
            return ()
        for id_ in gone:
            self._say_gone(instances.pop(id_), now)
        return gone

    def _say_gone(self, instance: Instance, now: float) -> None:
        log.info(
            "event=instance_gone instance_id=%s reason=%s lived_seconds=%.0f",
            *(instance.id, instance.reason or "unasked", now - instance.launched_at),
        )
        self._meter.ended(instance, now)
