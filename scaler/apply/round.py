"""One round of the scaler that leads: look, clear away what is over, decide, do."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobqueue.sharding.shards import Shards
from scaler.apply.instance_reconciler import Clearing, Standing
from scaler.apply.launcher import Launcher
from scaler.decide.actions import Steps, choose_steps
from scaler.fleets.fleet import Fleet
from scaler.fleets.instances import Instance, Intent
from scaler.metrics import Meter
from scaler.observe.demand_observer import Observer
from scaler.observe.instance_phases import phase_of
from scaler.policy import Decision, Limits, decide
from scaler.state.leader_election import Candidate
from scaler.state.store import Amendment, Ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round.

    Attributes:
        is_empty: nothing waits and nothing lives, so that the first job to come is worth a round at once.
    """

    decision: Decision
    is_empty: bool


class Scaler:
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
        candidate: Candidate,
        limits: Limits,
        meter: Meter,
        *,
        wait_target_seconds: float | None = None,
        chance: random.Random,
    ) -> None:
        self._profile = fleet.profile
        self._fleet_name = fleet.name
        self._meter = meter
        self._ledger = Ledger(shards.all[0], candidate)
        self._clearing = Clearing(shards, fleet, self._ledger, meter)
        self._launcher = Launcher(fleet, self._ledger, meter, is_sure=lambda: candidate.is_sure, chance=chance)
        self._observer = Observer(
            shards, limits, boot_seconds=fleet.profile.boot_seconds, wait_target_seconds=wait_target_seconds
        )
        self._verb = ""

    async def begin(self) -> None:
        """This manager leads from now on.

        Raises:
            ShardUnavailable: begin again.
        """
        self._clearing.begin()
        await self._observer.restore(self._ledger)

    def follow(self) -> None:
        """Another manager leads."""
        self._meter.follow()

    async def act(self, epoch: int) -> Round:
        """One round.

        Raises:
            ShardUnavailable: with numbers that are missing nothing is decided.
            LeaseLost: another manager leads.
        """
        book = await self._ledger.read()
        if await self._launcher.repeat(epoch, book):
            book = await self._ledger.read()
        standing = await self._clearing.clear(epoch, book)
        book, instances, workers = standing.book, standing.instances, standing.workers
        observation = await self._observer.observe(book, instances, workers, standing.boots, stale=not standing.is_seen)
        limits = book.orders.applied_to(self._observer.limits)
        decision = decide(observation, limits)
        steps = choose_steps(book, instances, workers, decision, limits, self._profile)
        await self._write_down(epoch, standing, decision, steps)
        if steps.closing:
            cut_off = await self._clearing.cut_off(steps.closing, book.now)
            await self._ledger.amend(epoch, Amendment(cut_off))
        if steps.launch:
            remaining = {**instances, **{each.id: each for each in steps.closing}}
            intents = await self._launcher.launch(epoch, book, remaining, steps.launch, most=limits.most())
            await self._note_replacements(epoch, steps.needy, intents)
        return Round(decision, not instances and not book.intents and not observation.queued)

    async def _write_down(self, epoch: int, standing: Standing, decision: Decision, steps: Steps) -> None:
        """Keeps every decision that does something, and the first of a kind that does not."""
        book, verb = standing.book, steps.reason.partition(" ")[0]
        numbers = dict(decision.numbers)
        entry = None
        if steps.launch or steps.closing or verb != self._verb:
            log.info("event=scaler_decision epoch=%d %s", epoch, steps.reason)
            done = {"launch": steps.launch, "drain": len(steps.closing)}
            entry = {"at": book.now, "epoch": epoch, **done, "reason": steps.reason, "numbers": numbers}
        self._verb = verb
        report = {"at": book.now, "fleet": self._fleet_name, "reason": steps.reason, "numbers": numbers}
        notes = {"report": report, **self._observer.notes(book.now)}
        await self._ledger.amend(epoch, Amendment(steps.closing, decision=entry, notes=notes))
        phases = {id_: phase_of(each, standing.workers.get(id_)) for id_, each in standing.instances.items()}
        desired = len(phases) + book.intended + steps.launch - len(steps.closing)
        self._meter.show(phases, book.intended, desired, book.now)

    async def _note_replacements(self, epoch: int, needy: Sequence[Instance], intents: Sequence[Intent]) -> None:
        """Writes down who is replaced by what, so that it is replaced once."""
        tokens = [intent.token for intent in intents for _ in range(intent.order.count)]
        replaced = [replace(each, replaced=token) for each, token in zip(needy, tokens, strict=False)]
        if replaced:
            await self._ledger.amend(epoch, Amendment(replaced))
