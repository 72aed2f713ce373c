"""What has become of each instance, by what workers say and what the fleet shows. Pure.

An instance ends in two passes: first its worker is cut off from new work, which is never taken back; later, when it is
known to run nothing, it may be terminated. So a leader that acts on old knowledge can end nothing but what has ended.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from jobqueue.workers.registry import WorkerView
from scaler.fleets.fleet import Profile
from scaler.fleets.instances import DescribedInstance, Instance
from scaler.state.store import ScalerState

SILENT_SECONDS = 20.0
"""A worker that has not been heard of for so long does nothing that counts: its leases have run out, or soon will."""
LOST_SECONDS = 30.0
"""A worker that stays unheard for so long after that is dead; all its leases have run out."""
FENCE_SECONDS = 10.0
"""Between the two passes in which an instance is ended that nobody can ask."""
UNDESCRIBED_SECONDS = 90.0
"""What a fleet does not show may live: it is taken for gone only after so long."""


class InstancePhase(StrEnum):
    """Where an instance is in its life."""

    BOOTING = "booting"
    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    LOST = "lost"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """What was found at one moment.

    Attributes:
        workers: those of the fleet that are heard of, by the id of their instance.
        left: ids of instances whose worker left in order.
        sightings: what the fleet shows, by id; None where it was not looked at.
        gone: ids of instances that were terminated lately.
    """

    workers: Mapping[str, WorkerView]
    exited_cleanly: Collection[str] = ()
    described: Mapping[str, DescribedInstance] | None = None
    recently_terminated: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Classification:
    """What follows.

    Attributes:
        instances: all that there are now, by id.
        changed: those that are to be written down.
        closed: those of them that are to be cut off from new work.
        gone: ids of those that are no more.
        boots: seconds from launch to registration, of each worker that has arrived.
        failed_boots: ids of instances whose worker never came.
    """

    instances: dict[str, Instance] = field(default_factory=dict)
    changed: list[Instance] = field(default_factory=list)
    newly_terminating: list[Instance] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    boot_durations: list[float] = field(default_factory=list)
    failed_boots: list[str] = field(default_factory=list)


def is_alive(worker: WorkerView) -> bool:
    """Whether a listed worker still lives, as far as anybody can tell."""
    return (worker.seconds_since_heartbeat or 0.0) < SILENT_SECONDS


def phase_of(instance: Instance, worker: WorkerView | None) -> InstancePhase:
    """Where an instance is; `worker` is None where it is not heard of."""
    if worker is None:
        if instance.terminating_at is not None:
            return InstancePhase.ENDING
        return InstancePhase.BOOTING if instance.arrived_at is None else InstancePhase.LOST
    if instance.terminating_at is not None or worker.state == "draining" or worker.interruption == "spot":
        return InstancePhase.DRAINING
    return InstancePhase.BUSY if worker.running else InstancePhase.IDLE


def classify(state: ScalerState, snapshot: FleetSnapshot, profile: Profile) -> Classification:
    """Goes through all instances, and takes in those that are not written down."""
    result = Classification()
    for instance in [*state.instances.values(), *_adopted(state, snapshot)]:
        sighting = snapshot.described.get(instance.id) if snapshot.described is not None else None
        if sighting is not None and sighting.ended:
            result.terminated.append(instance.id)
            if instance.arrived_at is None and instance.terminating_at is None and not sighting.interrupted:
                result.failed_boots.append(instance.id)
            continue
        met = _meet(instance, snapshot, sighting, state.now)
        if met.arrived_at is not None and instance.arrived_at is None and instance.id in state.instances:
            result.boot_durations.append(max(0.0, state.now - met.launched_at))
        reason = _why_close(met, snapshot, sighting, profile, state.now)
        if reason:
            met = replace(met, terminating_at=state.now, reason=reason)
        written = state.instances.get(met.id)
        if met.terminating_at is not None and (written is None or written.terminating_at is None):
            result.newly_terminating.append(met)
            if met.reason == "never_registered":
                result.failed_boots.append(met.id)
        if _is_empty(met, snapshot, sighting, state.now):
            met = replace(met, drained_at=state.now)
        result.instances[met.id] = met
        if met is not written:
            result.changed.append(met)
    return result


def _adopted(book: ScalerState, seen: FleetSnapshot) -> Sequence[Instance]:
    """Instances that exist and are not written down: those whose worker works are welcome, the others are to go."""
    awaited = {intent.token for intent in book.intents}
    known = {*book.instances, *seen.recently_terminated}
    adopted = {}
    for sighting in (seen.described or {}).values():
        # What an intent has launched is written down when its answer is known.
        if sighting.ended or sighting.id in known or sighting.token in awaited:
            continue
        instance = sighting.to_instance()
        if sighting.id not in seen.workers:
            instance = replace(instance, terminating_at=book.now, reason="stranger")
        adopted[sighting.id] = instance
    for id_ in seen.workers:
        if id_ not in known and id_ not in adopted:
            adopted[id_] = Instance(id_, book.now)
    return list(adopted.values())


def _meet(instance: Instance, seen: FleetSnapshot, sighting: DescribedInstance | None, now: float) -> Instance:
    """Writes down whether worker and instance were met."""
    met = instance
    if sighting is not None:
        if met.undescribed_at is not None:
            met = replace(met, undescribed_at=None)
        if (sighting.zone, sighting.version) != (met.zone, met.version):
            met = replace(met, kind=sighting.kind, subnet=sighting.subnet, zone=sighting.zone, market=sighting.market)
            met = replace(met, version=sighting.version)
    elif seen.described is not None and met.undescribed_at is None:
        met = replace(met, undescribed_at=now)
    if instance.id in seen.workers:
        if met.arrived_at is None:
            met = replace(met, arrived_at=now)
        if met.lost_at is not None:
            met = replace(met, lost_at=None)
    elif met.arrived_at is not None and met.lost_at is None:
        met = replace(met, lost_at=now)
    return met


def _why_close(
    met: Instance, seen: FleetSnapshot, sighting: DescribedInstance | None, profile: Profile, now: float
) -> str:
    """Why an instance that nobody wants gone has to go; '' where it has not."""
    if met.terminating_at is not None or met.id in seen.workers:
        return ""
    if met.id in seen.exited_cleanly:
        return "left"
    if sighting is not None and sighting.stopped:
        return "stopped"
    if met.arrived_at is None and now - met.launched_at > profile.boot_timeout_seconds:
        return "never_registered"
    if met.lost_at is not None and now - met.lost_at >= LOST_SECONDS:
        return "silent"
    if (
        met.arrived_at is not None
        and met.undescribed_at is not None
        and now - met.undescribed_at >= UNDESCRIBED_SECONDS
    ):
        return "vanished"
    return ""


def _is_empty(met: Instance, seen: FleetSnapshot, sighting: DescribedInstance | None, now: float) -> bool:
    """Whether a closed instance runs nothing for certain."""
    if met.terminating_at is None or met.drained_at is not None or met.id in seen.workers:
        return False
    if met.id in seen.exited_cleanly or (sighting is not None and sighting.stopped):
        return True
    if met.fenced_at is None or now - met.fenced_at < FENCE_SECONDS:
        return False
    return met.arrived_at is None or (met.lost_at is not None and now - met.lost_at >= LOST_SECONDS)
