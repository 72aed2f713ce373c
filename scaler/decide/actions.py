"""Turns a decision into actions: how many instances to launch, and which ones to terminate. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobqueue.workers.registry import WorkerView
from scaler.decide.interruptions import REBALANCE, instances_to_replace, replaced_instances, unneeded_instances
from scaler.decide.rolling_update import OUTDATED, plan_rolling_update
from scaler.decide.scale_in import choose_idle, choose_over_maximum
from scaler.decide.successors import Successors
from scaler.fleets.fleet import Profile
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase, phase_of
from scaler.policy import Decision, Limits
from scaler.state.store import ScalerState

IDLE, OVER_MAXIMUM = "idle", "maximum"
"""Termination reasons; see also `REBALANCE` and `OUTDATED`."""
HELD_BACK = "HELD BACK"
"""Stands in the reason of a decision whose launches the launch breaker forbids."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do in this round.

    Attributes:
        launch: number of instances to launch.
        terminating: instances that go whatever waits: a successor serves, or a limit leaves no room for them.
        scaling_in: instances that go because they are not needed, unless a job waits that their worker could run.
        to_be_replaced: instances that some of the launched ones replace.
        reason: the decision's reason, preceded by whatever changes or limits it.

    Instances that go are as they have to be recorded.
    """

    launch: int
    terminating: Sequence[Instance]
    scaling_in: Sequence[Instance]
    to_be_replaced: Sequence[Instance]
    reason: str

    def without_launch(self, last_failure: str) -> "Actions":
        """Return the actions without their launch, because every capacity pool cools down after a failure."""
        reason = f"{HELD_BACK} to 0, because no capacity pool can be tried yet: {last_failure}; {self.reason}"
        return replace(self, launch=0, to_be_replaced=(), reason=reason)

    def confirmed(self, held: Sequence[Instance]) -> "Actions":
        """Return the actions with these of `scaling_in`; the others are called off, because a job has come."""
        called_off = len(self.scaling_in) - len(held)
        terminating, reason = [*self.terminating, *held], self.reason
        if called_off:
            reason = f"KEEP {called_off}, because a job has come that they could run; {reason}"
        return replace(self, terminating=terminating, scaling_in=(), reason=reason)


def plan_actions(
    state: ScalerState,
    instances: Mapping[str, Instance],
    workers: Mapping[str, WorkerView],
    decision: Decision,
    limits: Limits,
    profile: Profile,
) -> Actions:
    """Return the actions for a decision, within the limits and what the launch breaker allows.

    Args:
        instances: all instances by id.
        workers: live workers by the id of their instance.
    """
    reason, now, min_age_seconds = decision.reason, state.now, decision.min_age_seconds
    if state.overrides.paused:
        return Actions(0, (), (), (), f"PAUSED: nothing is launched or drained; without the pause {reason}")
    phases = [phase_of(instance, workers.get(id_)) for id_, instance in instances.items()]
    serving = sum(phase in (InstancePhase.BOOTING, InstancePhase.IDLE, InstancePhase.BUSY) for phase in phases)
    surplus = 0 if decision.numbers.get("queued", 0) > 0 else max(0, serving - limits.min_workers_required(now))
    headroom = limits.max_workers_allowed() - len(instances) - state.pending_launches
    successors = Successors.of(state, instances, workers)
    to_be_replaced = instances_to_replace(instances, workers, successors, keep_idle=surplus == 0)
    wanted = max(decision.launch, len(to_be_replaced))
    if wanted > decision.launch:
        reason = f"LAUNCH {wanted}: {len(to_be_replaced)} needed workers are being reclaimed; {reason}"
    update = plan_rolling_update(
        *(state, instances, workers, profile.version, successors),
        surplus=surplus,
        headroom=headroom,
        min_age_seconds=min_age_seconds,
        quiet=not (wanted or decision.drain),
    )
    if update.to_be_replaced or update.to_scale_in or update.unneeded:
        reason = f"{update.summary}; {reason}"
        to_be_replaced, wanted = [*to_be_replaced, *update.to_be_replaced], wanted + len(update.to_be_replaced)
    launch = max(0, min(wanted, headroom))
    allowed = state.launch_breaker.max_launches(phases.count(InstancePhase.BOOTING) + state.pending_launches, now)
    if allowed is not None and allowed < launch:
        launch, reason = allowed, f"{HELD_BACK} to {allowed}: {state.launch_breaker.last_failure}; {reason}"
    # A worker that the rolling update drains is one of those to drain, not an additional one.
    drain = max(0, decision.drain - len(update.to_scale_in))
    over_maximum, idle = (drain, 0) if decision.is_over_maximum else (0, drain)
    terminating = {
        OVER_MAXIMUM: choose_over_maximum(instances, workers, over_maximum, profile),
        REBALANCE: replaced_instances(instances, workers, successors),
        OUTDATED: update.to_scale_in,
    }
    scaling_in = {
        IDLE: choose_idle(instances, workers, idle, profile, min_age_seconds, now),
        REBALANCE: unneeded_instances(instances, workers, min_age_seconds, now) if surplus else (),
        OUTDATED: update.unneeded,
    }
    going = _as_terminating(terminating, now)
    unneeded = {id_: each for id_, each in _as_terminating(scaling_in, now).items() if id_ not in going}
    return Actions(launch, list(going.values()), list(unneeded.values()), to_be_replaced[:launch], reason)


def _as_terminating(chosen: Mapping[str, Sequence[Instance]], now: float) -> dict[str, Instance]:
    """Return the records of instances that are to terminate, by id; `chosen` has them by the reason."""
    return {each.id: replace(each, terminating_at=now, reason=why) for why, those in chosen.items() for each in those}
