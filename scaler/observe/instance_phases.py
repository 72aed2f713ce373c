"""Instance lifecycle: classifies every instance from its worker's heartbeats and the fleet's description of it. Pure.

An instance is terminated in two passes. First its worker is fenced: it can claim no more jobs, irrevocably. Later, when
the worker is known to run nothing, the instance can be terminated. So a leader that acts on outdated knowledge can only
terminate instances that are already empty.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from jobqueue.workers.registry import WorkerView
from scaler.fleets.fleet import Profile
from scaler.fleets.instances import DescribedInstance, Instance
from scaler.state.store import ScalerState

SILENT_SECONDS = 20.0
"""A worker without a heartbeat for this long is no capacity: its job leases have expired or soon will."""
LOST_SECONDS = 30.0
"""A worker that stays silent for this long after that is dead; all its job leases have expired."""
FENCE_SECONDS = 10.0
"""Pause between the two passes for an instance whose worker cannot confirm that it runs nothing."""
UNDESCRIBED_SECONDS = 90.0
"""How long a fleet can fail to describe an instance before the instance counts as gone; until then it can be alive."""


class InstancePhase(StrEnum):
    """Phase of an instance's life."""

    BOOTING = "booting"
    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    LOST = "lost"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """What Redis and the fleet report at one moment.

    Attributes:
        workers: live workers of the fleet by the id of their instance.
        exited_cleanly: ids of instances whose worker drained and unregistered.
        described: instances as the fleet describes them, by id; None if the fleet was not asked or did not answer.
        recently_terminated: ids of instances that were terminated within the last hour.
        overdue_launches: tokens of launches that bring no instances beyond those that are described now.
    """

    workers: Mapping[str, WorkerView]
    exited_cleanly: Collection[str] = ()
    described: Mapping[str, DescribedInstance] | None = None
    recently_terminated: Collection[str] = ()
    overdue_launches: Collection[str] = ()

    def description_of(self, instance_id: str) -> DescribedInstance | None:
        """Return the fleet's description of an instance; None if there is none."""
        return self.described.get(instance_id) if self.described is not None else None


@dataclass(frozen=True, slots=True)
class Classification:
    """The instances after a snapshot, and what changed.

    Attributes:
        instances: all instances that exist now, by id.
        changed: instances whose record must be saved.
        newly_terminating: changed instances whose worker must be fenced.
        terminated: ids of instances that no longer exist.
        boot_durations: seconds from launch to registration of each worker that has just registered.
        failed_boots: ids of instances whose worker never registered.
        settled_launches: launches whose instances are all described, although their answer is missing, by their tokens.
    """

    instances: dict[str, Instance] = field(default_factory=dict)
    changed: list[Instance] = field(default_factory=list)
    newly_terminating: list[Instance] = field(default_factory=list)
    terminated: list[str] = field(default_factory=list)
    boot_durations: list[float] = field(default_factory=list)
    failed_boots: list[str] = field(default_factory=list)
    settled_launches: dict[str, list[DescribedInstance]] = field(default_factory=dict)


def is_alive(worker: WorkerView) -> bool:
    """Whether a listed worker's last heartbeat is recent enough."""
    return (worker.seconds_since_heartbeat or 0.0) < SILENT_SECONDS


def phase_of(instance: Instance, worker: WorkerView | None) -> InstancePhase:
    """Return the phase of an instance; `worker` is None if there is no live worker."""
    if worker is None:
        if instance.terminating_at is not None:
            return InstancePhase.ENDING
        return InstancePhase.BOOTING if instance.arrived_at is None else InstancePhase.LOST
    if instance.terminating_at is not None or worker.state == "draining" or worker.interruption == "spot":
        return InstancePhase.DRAINING
    return InstancePhase.BUSY if worker.running else InstancePhase.IDLE


def classify(state: ScalerState, snapshot: FleetSnapshot, profile: Profile) -> Classification:
    """Classify all recorded instances, and adopt existing ones that are not recorded."""
    result = Classification(settled_launches=_settled_launches(state, snapshot))
    for instance in [*state.instances.values(), *_unrecorded(state, snapshot, result.settled_launches)]:
        described = snapshot.description_of(instance.id)
        if described is not None and described.ended:
            result.terminated.append(instance.id)
            if instance.arrived_at is None and instance.terminating_at is None and not described.interrupted:
                result.failed_boots.append(instance.id)
        else:
            _classify_existing(result, instance, described, state, snapshot, profile)
    return result


def _classify_existing(
    result: Classification,
    instance: Instance,
    described: DescribedInstance | None,
    state: ScalerState,
    snapshot: FleetSnapshot,
    profile: Profile,
) -> None:
    recorded, now = state.instances.get(instance.id), state.now
    current = _merge_snapshot(instance, snapshot, described, now)
    if recorded is not None and recorded.arrived_at is None and current.arrived_at is not None:
        result.boot_durations.append(max(0.0, now - current.launched_at))
    reason = _termination_reason(current, snapshot, described, profile, now)
    if reason:
        current = replace(current, terminating_at=now, reason=reason)
    if current.terminating_at is not None and (recorded is None or recorded.terminating_at is None):
        result.newly_terminating.append(current)
        if current.reason == "never_registered":
            result.failed_boots.append(current.id)
    if _is_drained(current, snapshot, described, now):
        current = replace(current, drained_at=now)
    result.instances[current.id] = current
    if current is not recorded:
        result.changed.append(current)


def _settled_launches(state: ScalerState, snapshot: FleetSnapshot) -> dict[str, list[DescribedInstance]]:
    """Return the launches without an answer that are described in full, with their instances."""
    if snapshot.described is None or not state.intents:
        return {}
    by_token: dict[str, list[DescribedInstance]] = {intent.token: [] for intent in state.intents}
    for described in snapshot.described.values():
        if described.token in by_token:
            by_token[described.token].append(described)
    return {
        intent.token: by_token[intent.token]
        for intent in state.intents
        if len(by_token[intent.token]) >= intent.request.count or intent.token in snapshot.overdue_launches
    }


def _unrecorded(state: ScalerState, snapshot: FleetSnapshot, settled: Collection[str]) -> Sequence[Instance]:
    """Return existing instances without a record: those of settled launches and those with a live worker are adopted;
    the others must terminate.
    """
    intents = {intent.token: intent for intent in state.intents}
    known = {*state.instances, *snapshot.recently_terminated}
    found = {}
    for described in (snapshot.described or {}).values():
        # The instances of an intent are recorded when its answer is known.
        intent = intents.get(described.token)
        if described.ended or described.id in known or (intent is not None and intent.token not in settled):
            continue
        instance = described.to_instance()
        if intent is not None:
            instance = replace(instance, launched_at=intent.launched_at(described.launched_at, state.now))
        if described.id not in snapshot.workers and described.token not in settled:
            instance = replace(instance, terminating_at=state.now, reason="unknown_instance")
        found[described.id] = instance
    for id_ in snapshot.workers:
        if id_ not in known and id_ not in found:
            found[id_] = Instance(id_, state.now)
    return list(found.values())


def _merge_snapshot(
    instance: Instance, snapshot: FleetSnapshot, described: DescribedInstance | None, now: float
) -> Instance:
    """Return the instance with the times at which its worker and its description appeared or disappeared."""
    return _merge_worker(_merge_description(instance, snapshot, described, now), snapshot, now)


def _merge_description(
    instance: Instance, snapshot: FleetSnapshot, described: DescribedInstance | None, now: float
) -> Instance:
    if described is None:
        if snapshot.described is not None and instance.undescribed_at is None:
            return replace(instance, undescribed_at=now)
        return instance
    if instance.undescribed_at is not None:
        instance = replace(instance, undescribed_at=None)
    if (described.zone, described.version) != (instance.zone, instance.version):
        instance = replace(
            instance,
            kind=described.kind,
            subnet=described.subnet,
            zone=described.zone,
            market=described.market,
            version=described.version,
        )
    return instance


def _merge_worker(instance: Instance, snapshot: FleetSnapshot, now: float) -> Instance:
    if instance.id in snapshot.workers:
        if instance.arrived_at is None:
            instance = replace(instance, arrived_at=now)
        if instance.lost_at is not None:
            instance = replace(instance, lost_at=None)
    elif instance.arrived_at is not None and instance.lost_at is None:
        instance = replace(instance, lost_at=now)
    return instance


def _termination_reason(
    instance: Instance, snapshot: FleetSnapshot, described: DescribedInstance | None, profile: Profile, now: float
) -> str:
    """Return why an instance without a live worker must terminate; '' if it must not."""
    if instance.terminating_at is not None or instance.id in snapshot.workers:
        return ""
    if instance.id in snapshot.exited_cleanly:
        return "worker_exited"
    if described is not None and described.stopped:
        return "stopped"
    if instance.arrived_at is None:
        return "never_registered" if now - instance.launched_at > profile.boot_timeout_seconds else ""
    if _has_lasted(instance.lost_at, LOST_SECONDS, now):
        return "worker_silent"
    return "vanished" if _has_lasted(instance.undescribed_at, UNDESCRIBED_SECONDS, now) else ""


def _is_drained(instance: Instance, snapshot: FleetSnapshot, described: DescribedInstance | None, now: float) -> bool:
    """Whether a terminating instance certainly runs nothing."""
    if instance.terminating_at is None or instance.drained_at is not None or instance.id in snapshot.workers:
        return False
    if instance.id in snapshot.exited_cleanly or (described is not None and described.stopped):
        return True
    if not _has_lasted(instance.fenced_at, FENCE_SECONDS, now):
        return False
    return instance.arrived_at is None or _has_lasted(instance.lost_at, LOST_SECONDS, now)


def _has_lasted(since: float | None, seconds: float, now: float) -> bool:
    return since is not None and now - since >= seconds
