"""Turns a decision into actions: how many instances to launch, and which ones to terminate. Pure."""

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
"""All instances by id."""
Workers = Mapping[str, WorkerView]
"""Live workers by the id of their instance."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do in this round.

    Attributes:
        launch: number of instances to launch.
        terminating: instances that must go, as they have to be recorded.
        to_be_replaced: instances that some of the launched ones replace.
        reason: the decision's reason, preceded by whatever changes or limits it.
    """

    launch: int
    terminating: Sequence[Instance]
    to_be_replaced: Sequence[Instance]
    reason: str


def plan_actions(
    state: ScalerState, instances: Instances, workers: Workers, decision: Decision, limits: Limits, profile: Profile
) -> Actions:
    """Return the actions for a decision, within the limits and what the launch breaker allows."""
    reason, now = decision.reason, state.now
    if state.overrides.paused:
        return Actions(0, (), (), f"PAUSED: nothing is launched or drained; without the pause {reason}")
    phases = [phase_of(instance, workers.get(id_)) for id_, instance in instances.items()]
    serving = sum(phase in (InstancePhase.BOOTING, InstancePhase.IDLE, InstancePhase.BUSY) for phase in phases)
    surplus = 0 if decision.numbers.get("queued", 0) > 0 else max(0, serving - limits.min_workers_required(now))
    keep_idle = surplus == 0
    headroom = limits.max_workers_allowed() - len(instances) - state.pending_launches
    to_be_replaced = instances_to_replace(instances, workers, keep_idle=keep_idle)
    wanted = max(decision.launch, len(to_be_replaced))
    if wanted > decision.launch:
        reason = f"LAUNCH {wanted}: {len(to_be_replaced)} needed workers are being reclaimed; {reason}"
    quiet = not (wanted or decision.drain)
    update = plan_rolling_update(
        state, instances, workers, profile.version, surplus=surplus, headroom=headroom, quiet=quiet
    )
    if update.to_be_replaced or update.to_scale_in:
        reason = f"{update.summary}; {reason}"
        to_be_replaced, wanted = [*to_be_replaced, *update.to_be_replaced], wanted + len(update.to_be_replaced)
    launch = max(0, min(wanted, headroom))
    allowed = state.launch_breaker.max_launches(phases.count(InstancePhase.BOOTING) + state.pending_launches, now)
    if allowed is not None and allowed < launch:
        launch, reason = allowed, f"HELD BACK to {allowed}: {state.launch_breaker.last_failure}; {reason}"
    # A worker that the rolling update drains is one of those to drain, not an additional one.
    drain = max(0, decision.drain - len(update.to_scale_in))
    pending_tokens = {intent.token for intent in state.intents}
    reasons = {
        "idle": choose_idle(instances, workers, drain, profile, now) if drain else [],
        "rebalance": instances_to_scale_in(instances, workers, pending_tokens, keep_idle=keep_idle),
        OUTDATED: update.to_scale_in,
    }
    terminating = {
        each.id: replace(each, terminating_at=now, reason=why) for why, chosen in reasons.items() for each in chosen
    }
    return Actions(launch, list(terminating.values()), to_be_replaced[:launch], reason)


def instances_to_replace(instances: Instances, workers: Workers, *, keep_idle: bool) -> list[Instance]:
    """Return needed instances that the cloud reclaims, or recommends replacing, and that have no replacement yet.

    Args:
        keep_idle: idle workers are needed too.
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
    instances: Instances, workers: Workers, pending_tokens: Collection[str], *, keep_idle: bool
) -> list[Instance]:
    """Return instances with a rebalance recommendation that can go: their replacement serves, or they are not needed.

    Args:
        pending_tokens: tokens of launches whose answer is not known.
        keep_idle: idle workers are needed too.
    """
    booting = {
        instance.token
        for instance in instances.values()
        if instance.token and phase_of(instance, workers.get(instance.id)) is InstancePhase.BOOTING
    }
    awaited = booting.union(pending_tokens)
    return [
        instance
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None
        and worker.interruption == "rebalance"
        and instance.terminating_at is None
        and (
            instance.replacement_token not in awaited
            if instance.replacement_token
            else not worker.running and not keep_idle
        )
    ]


def choose_idle(instances: Instances, workers: Workers, count: int, profile: Profile, now: float) -> list[Instance]:
    """Return idle instances to scale in: interrupted ones first, then earlier versions, then the oldest.

    Excluded are instances within their minimum billing time, and replacements whose predecessor is about to release its
    jobs. Instances of the on-demand base go last.
    """
    awaiting_jobs = {
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
        and (not instance.token or instance.token not in awaiting_jobs)
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
