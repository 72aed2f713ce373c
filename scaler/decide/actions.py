"""What is done about a decision, and to which instances. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from jobqueue.workers.registry import WorkerView
from scaler.decide.rolling_update import OUTDATED, plan_rolling_update
from scaler.fleets.fleet import Profile
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, phase_of
from scaler.policy import Decision, Limits
from scaler.state.store import ScalerState

Instances = Mapping[str, Instance]
Workers = Mapping[str, WorkerView]


def choose_idle(instances: Instances, workers: Workers, count: int, profile: Profile, now: float) -> list[Instance]:
    """So many idle instances to let go: first what the fleet wants back, then earlier versions, then the longest-lived.

    None that is already paid for, or whose predecessor's jobs are about to come back; and of the base that is bought on
    demand only where nothing else is left.
    """
    heirs = {
        instance.replacement_token
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None and worker.interruption == "spot" and worker.running
    }
    on_demand = sorted(id_ for id_, instance in instances.items() if instance.market == "on-demand")
    base = set(on_demand[: profile.on_demand_base])
    idle = [
        instance
        for instance in instances.values()
        if phase_of(instance, workers.get(instance.id)) is InstancePhase.IDLE
        and now - instance.launched_at >= profile.min_billed_seconds
        and (not instance.token or instance.token not in heirs)
    ]
    idle.sort(
        key=lambda each: (
            not workers[each.id].interruption,
            not 0 < each.version < profile.version,
            each.id in base,
            each.launched_at,
            each.id,
        )
    )
    return idle[:count]


def instances_to_replace(instances: Instances, workers: Workers, *, keep_idle: bool) -> list[Instance]:
    """Instances that the fleet takes back, or may, that are needed and have not been given a successor.

    Args:
        idle_too: idle ones are needed as well.
    """
    return [
        instance
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None
        and worker.interruption
        and instance.terminating_at is None
        and not instance.replacement_token
        and (worker.running or keep_idle)
    ]


def instances_to_scale_in(
    instances: Instances, workers: Workers, open_tokens: Collection[str], *, keep_idle: bool
) -> list[Instance]:
    """Instances that may be taken back, and need not be waited for: their successor has come, or they are not needed.

    Args:
        open_tokens: of launches whose answer is not known.
        idle_too: idle ones are needed as well.
    """
    coming = {
        instance.token
        for instance in instances.values()
        if instance.token and phase_of(instance, workers.get(instance.id)) is InstancePhase.BOOTING
    }
    return [
        instance
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None
        and worker.interruption == "rebalance"
        and instance.terminating_at is None
        and (
            instance.replacement_token not in coming.union(open_tokens)
            if instance.replacement_token
            else not worker.running and not keep_idle
        )
    ]


@dataclass(frozen=True, slots=True)
class Actions:
    """What is done about a decision.

    Attributes:
        launch: instances.
        closing: instances that are to go, as they are to be written down.
        needy: instances for which some of those launched are replacements.
        reason: of the decision, with what stands against it.
    """

    launch: int
    terminating: Sequence[Instance]
    to_be_replaced: Sequence[Instance]
    reason: str


def plan_actions(
    state: ScalerState, instances: Instances, workers: Workers, decision: Decision, limits: Limits, profile: Profile
) -> Actions:
    """The steps, within the limits and what is to be minded."""
    reason = decision.reason
    if state.overrides.paused:
        return Actions(0, (), (), f"PAUSED; {reason}")
    phases = [phase_of(instance, workers.get(id_)) for id_, instance in instances.items()]
    serving = sum(phase in (InstancePhase.BOOTING, InstancePhase.IDLE, InstancePhase.BUSY) for phase in phases)
    spare = 0 if decision.numbers.get("queued", 0) > 0 else max(0, serving - limits.min_workers_required(state.now))
    idle_too = spare == 0
    room = limits.max_workers_allowed() - len(instances) - state.pending_launches
    needy = instances_to_replace(instances, workers, keep_idle=idle_too)
    wanted = max(decision.launch, len(needy))
    if wanted > decision.launch:
        reason = f"LAUNCH {wanted}: the fleet takes back {len(needy)} that are needed; {reason}"
    quiet = not (wanted or decision.drain)
    renewal = plan_rolling_update(state, instances, workers, profile.version, surplus=spare, headroom=room, quiet=quiet)
    if renewal.to_be_replaced or renewal.to_scale_in:
        reason = f"{renewal.summary}; {reason}"
        needy, wanted = [*needy, *renewal.to_be_replaced], wanted + len(renewal.to_be_replaced)
    launch = max(0, min(wanted, room))
    most = state.launch_breaker.max_launches(phases.count(InstancePhase.BOOTING) + state.pending_launches, state.now)
    if most is not None and most < launch:
        launch, reason = most, f"HELD BACK to {most}: {state.launch_breaker.last_failure}; {reason}"
    retired = instances_to_scale_in(instances, workers, {intent.token for intent in state.intents}, keep_idle=idle_too)
    # Who is renewed in this round goes in place of another, not beside it.
    drain = max(0, decision.drain - len(renewal.to_scale_in))
    idle = choose_idle(instances, workers, drain, profile, state.now) if drain else []
    closing = {each.id: replace(each, terminating_at=state.now, reason="idle") for each in idle}
    closing.update({each.id: replace(each, terminating_at=state.now, reason="taken_back") for each in retired})
    closing.update({each.id: replace(each, terminating_at=state.now, reason=OUTDATED) for each in renewal.to_scale_in})
    return Actions(launch, list(closing.values()), needy[:launch], reason)
