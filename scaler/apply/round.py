"""One round of the scaler that leads: look, clear away what is over, decide, do."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from scaler.state.leader_election import LeaderElector
from scaler.state.store import ScalerStore, StateUpdate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What came of a round.

    Attributes:
        is_empty: nothing waits and nothing lives, so that the first job to come is worth a round at once.
    """

    decision: Decision
    is_empty: bool


class ScalingRound:
    """Acts while this manager leads. What it knows it reads from Redis and the fleet, in each round anew.

    Args:
        candidate: whose lease everything is done under.
        limits: of the settings; operators may change them meanwhile (see `Orders`).
        wait_target_seconds: see `Learning`.
        chance: for tokens and pauses.
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
        rng: random.Random,
    ) -> None:
        self._profile = fleet.profile
        self._fleet_name = fleet.name
        self._meter = metrics
        self._ledger = ScalerStore(shards.all[0], elector)
        self._clearing = InstanceReconciler(shards, fleet, self._ledger, metrics)
        self._launcher = Launcher(fleet, self._ledger, metrics, holds_lease=lambda: elector.holds_lease, rng=rng)
        self._observer = DemandObserver(
            shards, limits, boot_seconds=fleet.profile.boot_seconds, wait_target_seconds=wait_target_seconds
        )
        self._verb = ""

    async def on_leadership_gained(self) -> None:
        """This manager leads from now on.

        Raises:
            ShardUnavailable: begin again.
        """
        self._clearing.on_leadership_gained()
        await self._observer.restore(self._ledger)

    def on_leadership_lost(self) -> None:
        """Another manager leads."""
        self._meter.clear()

    async def run(self, epoch: int) -> RoundResult:
        """One round.

        Raises:
            ShardUnavailable: with numbers that are missing nothing is decided.
            LeaseLost: another manager leads.
        """
        book = await self._ledger.read()
        if await self._launcher.repeat_unanswered(epoch, book):
            book = await self._ledger.read()
        standing = await self._clearing.reconcile(epoch, book)
        book, instances, workers = standing.state, standing.instances, standing.workers
        observation = await self._observer.observe(
            book, instances, workers, standing.boot_durations, stale=not standing.is_described
        )
        limits = book.overrides.applied_to(self._observer.limits)
        decision = decide(observation, limits)
        steps = plan_actions(book, instances, workers, decision, limits, self._profile)
        await self._write_down(epoch, standing, decision, steps)
        if steps.terminating:
            cut_off = await self._clearing.fence(steps.terminating, book.now)
            await self._ledger.save(epoch, StateUpdate(cut_off))
        if steps.launch:
            remaining = {**instances, **{each.id: each for each in steps.terminating}}
            intents = await self._launcher.launch(
                epoch, book, remaining, steps.launch, max_instances=limits.max_workers_allowed()
            )
            await self._note_replacements(epoch, steps.to_be_replaced, intents)
        return RoundResult(decision, not instances and not book.intents and not observation.queued)

    async def _write_down(self, epoch: int, standing: FleetState, decision: Decision, steps: Actions) -> None:
        """Keeps every decision that does something, and the first of a kind that does not."""
        book, verb = standing.state, steps.reason.partition(" ")[0]
        numbers = dict(decision.numbers)
        entry = None
        if steps.launch or steps.terminating or verb != self._verb:
            log.info("event=scaler_decision epoch=%d %s", epoch, steps.reason)
            done = {"launch": steps.launch, "drain": len(steps.terminating)}
            entry = {"at": book.now, "epoch": epoch, **done, "reason": steps.reason, "numbers": numbers}
        self._verb = verb
        report = {"at": book.now, "fleet": self._fleet_name, "reason": steps.reason, "numbers": numbers}
        notes = {"report": report, **self._observer.documents(book.now)}
        await self._ledger.save(epoch, StateUpdate(steps.terminating, decision=entry, documents=notes))
        phases = {id_: phase_of(each, standing.workers.get(id_)) for id_, each in standing.instances.items()}
        desired = len(phases) + book.pending_launches + steps.launch - len(steps.terminating)
        self._meter.publish(phases, book.pending_launches, desired, book.now)

    async def _note_replacements(self, epoch: int, needy: Sequence[Instance], intents: Sequence[Intent]) -> None:
        """Writes down who is replaced by what, so that it is replaced once."""
        tokens = [intent.token for intent in intents for _ in range(intent.request.count)]
        replaced = [replace(each, replacement_token=token) for each, token in zip(needy, tokens, strict=False)]
        if replaced:
            await self._ledger.save(epoch, StateUpdate(replaced))
