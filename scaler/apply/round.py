"""One scaling round of the leading scaler: reconcile instances, observe demand, decide, save the decision, apply it.

Every step first saves what the next step relies on, so that another leader can continue after any of them:
docs/architecture.md numbers the writes of a round.
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shards import Shards
from scaler.apply.instance_reconciler import FleetState, InstanceReconciler
from scaler.apply.launcher import Launcher
from scaler.decide.actions import Actions, plan_actions
from scaler.fleets.fleet import Fleet
from scaler.fleets.instances import Instance, Intent
from scaler.metrics import ScalerMetrics
from scaler.observe.demand_observer import DemandObserver
from scaler.observe.instance_phases import phase_of
from scaler.policy import Decision, Limits, decide
from scaler.state.clock_steps import MIN_STEP_SECONDS, ClockSteps, breaker_after_step, instance_after_step
from scaler.state.leader_election import LeaderElector
from scaler.state.store import ScalerState, ScalerStore, StateUpdate

log = logging.getLogger(__name__)


LEADERLESS_SECONDS = 60.0
"""A new leader whose predecessor's last round seems to lie further back takes it for a step of Redis' clock."""


class ClockStepped(Exception):
    """Redis' clock has stepped. Recorded times have followed; heartbeats and leases follow when they are renewed."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """Outcome of a round.

    Attributes:
        is_empty: no job waits and no worker serves or boots any more, so the first job that arrives justifies a round
            at once.
    """

    decision: Decision
    is_empty: bool


@dataclass(frozen=True, slots=True)
class _UnsavedStep:
    """A step of Redis' clock that recorded times may not follow yet: the answer to its save is missing.

    Attributes:
        at: time of the last round, if the save took effect.
    """

    seconds: float
    at: float


class ScalingRound:
    """Runs rounds while this manager is the leader. Each round reads the state from Redis and the fleet anew.

    Args:
        elector: holder of the leader lease under which everything is done.
        limits: limits from the settings; operators can override them (see `Overrides`).
        wait_target_seconds: see `Estimators`.
        managed_queues: those that the fleet's workers serve.
        clock: monotonic seconds.
        rng: source of launch tokens and backoff jitter.
    """

    def __init__(
        self,
        shards: Shards,
        fleet: Fleet,
        elector: LeaderElector,
        limits: Limits,
        metrics: ScalerMetrics,
        *,
        wait_target_seconds: float | None = None,
        managed_queues: Sequence[str] = ALL_QUEUES,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._profile = fleet.profile
        self._fleet_name = fleet.name
        self._metrics = metrics
        self._store = ScalerStore(shards.all[0], elector)
        self._reconciler = InstanceReconciler(shards, fleet, self._store, metrics, clock=clock, rng=rng)
        self._launcher = Launcher(
            fleet, self._store, metrics, holds_lease=lambda: elector.holds_lease, clock=clock, rng=rng
        )
        self._observer = DemandObserver(
            shards,
            limits,
            boot_seconds=fleet.profile.boot_seconds,
            wait_target_seconds=wait_target_seconds,
            managed_queues=managed_queues,
        )
        self._clock = clock
        self._steps = ClockSteps(clock)
        self._led_until: float | None = None
        self._unsaved_step: _UnsavedStep | None = None
        self._last_kind = ""

    async def on_leadership_gained(self) -> None:
        """Prepare for leading: forget outdated knowledge and restore the last leader's estimates.

        Raises:
            ShardUnavailable: call again before the first round.
        """
        self._launcher.on_leadership_gained()
        self._reconciler.on_leadership_gained()
        await self._observer.restore(self._store)
        self._steps, self._unsaved_step = ClockSteps(self._clock), None
        self._led_until = await self._store.last_round_at()

    def on_leadership_lost(self) -> None:
        """Stop publishing the fleet: another manager leads."""
        self._metrics.clear()

    async def end_pauses(self, epoch: int) -> None:
        """Let the next leader launch at once: what was refused to this one can be allowed to the next.

        Raises:
            ShardUnavailable, LeadershipLost: the pauses last.
        """
        breaker = (await self._store.read()).launch_breaker.without_pauses()
        await self._store.save(epoch, StateUpdate(documents={"caution": breaker.dump()}))

    async def run(self, epoch: int) -> RoundResult:
        """Run one round.

        Raises:
            ShardUnavailable: nothing is decided on incomplete numbers.
            LeadershipLost: another manager leads.
            ClockStepped: repeat the round after the next heartbeats.
        """
        state = await self._read(epoch)
        if await self._launcher.repeat_unanswered(epoch, state):
            state = await self._read(epoch)  # not from Redis alone: a call takes seconds, in which the clock can step
        fleet = await self._reconciler.reconcile(epoch, state, self._launcher.overdue())
        state, instances, workers = fleet.state, fleet.instances, fleet.workers
        observation = await self._observer.observe(
            state, instances, workers, fleet.boot_durations, stale=not fleet.is_described
        )
        limits = state.overrides.applied_to(self._observer.limits)
        decision = decide(observation, limits)
        actions = plan_actions(state, instances, workers, decision, limits, self._profile)
        if actions.launch and not self._launcher.can_launch(state, instances):
            actions = actions.without_launch(state.launch_breaker.last_failure)
        # A job can have come since the observation: then the workers that could run it stay.
        async with self._reconciler.hold(actions.scaling_in) as held:
            actions, leaving = actions.confirmed(held), len(held)
            await self._save_decision(epoch, fleet, decision, actions)
        if actions.terminating:
            fenced = await self._reconciler.fence(actions.terminating, state.now)
            await self._store.save(epoch, StateUpdate(fenced))
        if actions.launch:
            current = {**instances, **{each.id: each for each in actions.terminating}}
            intents = await self._launcher.launch(
                epoch, state, current, actions.launch, max_instances=limits.max_workers_allowed()
            )
            await self._save_replacements(epoch, actions.to_be_replaced, intents)
        return RoundResult(decision, observation.serving <= leaving and not observation.queued)

    async def _read(self, epoch: int) -> ScalerState:
        """Read the state, and let the recorded times follow a step of Redis' clock since the last round.

        A new leader cannot tell a step ahead from a time without a leader. In both cases, nobody has watched the
        instances, and what they have to do in time counts from now.
        """
        asked_at = self._clock()
        state = await self._store.read()
        unsaved, led_until = self._unsaved_step, self._led_until
        is_saved = unsaved is not None and await self._store.last_round_at() == unsaved.at
        seconds = self._steps.step(state.now, asked_at)
        if led_until is not None and not -MIN_STEP_SECONDS < state.now - led_until < LEADERLESS_SECONDS:
            seconds = state.now - led_until
        if unsaved is not None and not is_saved:
            seconds += unsaved.seconds
        self._unsaved_step = self._led_until = None
        if seconds:
            # Of a new leader, a step ahead is nearly always a time in which all managers were stopped.
            level = logging.INFO if led_until is not None and seconds > 0 else logging.WARNING
            text = "event=scaler_time_skipped seconds=%+.0f: Redis' clock has stepped, or no manager led"
            log.log(level, text, seconds)
            state = await self._move_times(epoch, state, seconds)
        elif unsaved is None:
            return state
        if led_until is None or seconds < 0:
            self._observer.on_clock_step()
            self._metrics.on_clock_step()
            raise ClockStepped
        return state

    async def _move_times(self, epoch: int, state: ScalerState, seconds: float) -> ScalerState:
        """Save the recorded times as they are after the step, with the time of this round: the next leader, or this one
        if the answer is lost, must not move them again.
        """
        instances = [instance_after_step(each, seconds) for each in state.instances.values()]
        breaker = breaker_after_step(state.launch_breaker, seconds)
        self._unsaved_step = _UnsavedStep(seconds, state.now)
        report = {**await self._store.last_report(), "at": state.now}
        documents = {"caution": breaker.dump(), "report": report}
        await self._store.save(epoch, StateUpdate(instances, documents=documents))
        self._unsaved_step = None
        return replace(state, instances={each.id: each for each in instances}, launch_breaker=breaker)

    async def _save_decision(self, epoch: int, fleet: FleetState, decision: Decision, actions: Actions) -> None:
        """Save the report and, if it does something or is the first of its kind, the decision; publish the metrics."""
        state, kind = fleet.state, actions.reason.partition(" ")[0]
        numbers = dict(decision.numbers)
        entry = None
        if actions.launch or actions.terminating or kind != self._last_kind:
            log.info("event=scaler_decision epoch=%d %s", epoch, actions.reason)
            counts = {"launch": actions.launch, "drain": len(actions.terminating)}
            entry = {"at": state.now, "epoch": epoch, **counts, "reason": actions.reason, "numbers": numbers}
        self._last_kind = kind
        report = {"at": state.now, "fleet": self._fleet_name, "reason": actions.reason, "numbers": numbers}
        documents = {"report": report, **self._observer.documents(state.now)}
        await self._store.save(epoch, StateUpdate(actions.terminating, decision=entry, documents=documents))
        phases = {id_: phase_of(each, fleet.workers.get(id_)) for id_, each in fleet.instances.items()}
        desired = len(phases) + state.pending_launches + actions.launch - len(actions.terminating)
        self._metrics.publish(phases, state.pending_launches, desired, state.now)

    async def _save_replacements(
        self, epoch: int, to_be_replaced: Sequence[Instance], intents: Sequence[Intent]
    ) -> None:
        """Record which launch replaces which instance, so that each is replaced only once."""
        tokens = [intent.token for intent in intents for _ in range(intent.request.count)]
        replaced = [replace(each, replacement_token=token) for each, token in zip(to_be_replaced, tokens, strict=False)]
        if replaced:
            await self._store.save(epoch, StateUpdate(replaced))
