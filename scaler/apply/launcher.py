"""Carries out launches: each is written down first, and repeated under its token until its answer is known."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from scaler.fleets.fleet import Cause, Fleet, FleetError
from scaler.fleets.instances import DescribedInstance, Instance, Intent
from scaler.metrics import ScalerMetrics
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.store import LeaseLost, ScalerState, ScalerStore, StateUpdate

log = logging.getLogger(__name__)

REPEAT_SECONDS = 5.0
"""Between two repeats of one launch."""
INTENT_HOLD_SECONDS = 60.0
"""A predecessor that is only paused may still ask for what it intended: so long its intents stay, and count."""


@dataclass(frozen=True, slots=True)
class _Answer:
    intent: Intent
    repeated: bool
    inherited: bool
    sightings: Sequence[DescribedInstance] = ()
    error: FleetError | None = None

    def is_settled(self, now: float) -> bool:
        """Whether it is known what has come of the launch, and that no more will."""
        match None if self.error is None else self.error.cause:
            case None | Cause.TOKEN_EXPIRED:
                return True
            case Cause.CAPACITY | Cause.REFUSED:
                return not self.inherited or now - self.intent.recorded_at >= INTENT_HOLD_SECONDS
            case Cause.THROTTLED:
                return not self.repeated
            case _:
                return False


class Launcher:
    """Launches for one fleet.

    Args:
        is_sure: whether nobody else can lead; asked right before each call.
        chance: for tokens, and for how long to back off.
    """

    def __init__(
        self,
        fleet: Fleet,
        store: ScalerStore,
        metrics: ScalerMetrics,
        *,
        holds_lease: Callable[[], bool],
        rng: random.Random,
    ) -> None:
        self._fleet = fleet
        self._ledger = store
        self._meter = metrics
        self._is_sure = holds_lease
        self._chance = rng
        self._asked_at: dict[str, float] = {}

    async def repeat_unanswered(self, epoch: int, state: ScalerState) -> bool:
        """Asks again for what was intended and not answered; whether anything was asked.

        Raises:
            LeaseLost, ShardUnavailable: they stay open.
        """
        self._asked_at = {each.token: self._asked_at.get(each.token, 0.0) for each in state.intents}
        due = [each for each in state.intents if state.now - self._asked_at[each.token] >= REPEAT_SECONDS]
        if not due or state.now < state.launch_breaker.not_before:
            return False
        await self._carry_out(epoch, state, state.instances, due, repeated=True)
        return True

    async def launch(
        self, epoch: int, state: ScalerState, instances: Mapping[str, Instance], count: int, *, max_instances: int
    ) -> Sequence[Intent]:
        """Launches so many, or as many as offerings that are not short allow.

        Args:
            most: instances that may be, all counted.

        Returns:
            What something has come, or may come of.

        Raises:
            LeaseLost, ShardUnavailable: what was intended stays open.
        """
        avoided = state.launch_breaker.cooling_pools(state.now)
        orders = self._fleet.plan(count, instances.values(), avoided)
        if not orders:
            log.warning("event=no_capacity_pool_available reason=every_offering_is_short wanted=%d", count)
            return ()
        intents = [Intent(f"{self._chance.getrandbits(128):032x}", state.now, epoch, order) for order in orders]
        if not await self._ledger.record_intents(epoch, intents, max_instances=max_instances):
            log.warning("event=launch_rejected reason=limit wanted=%d most=%d", count, max_instances)
            return ()
        failed = await self._carry_out(epoch, state, instances, intents, repeated=False)
        return [intent for intent in intents if intent.token not in failed]

    async def _carry_out(
        self,
        epoch: int,
        book: ScalerState,
        instances: Mapping[str, Instance],
        intents: Sequence[Intent],
        *,
        repeated: bool,
    ) -> set[str]:
        """Asks; the tokens of those of which nothing will come."""
        self._asked_at.update({intent.token: book.now for intent in intents})
        answers = await asyncio.gather(*(self._ask(intent, epoch, repeated) for intent in intents))
        arrived: list[Instance] = []
        caution = book.launch_breaker
        for answer in answers:
            caution = self._judge(answer, caution, book.now)
            arrived += [
                _written(each, answer, book.now)
                for each in answer.sightings
                if not each.ended and each.id not in book.instances
            ]
        settled = [answer.intent.token for answer in answers if answer.is_settled(book.now)]
        failed = {answer.intent.token for answer in answers if not answer.sightings}.intersection(settled)
        # Who was to be replaced by what did not come is replaced by something else.
        bereft = [
            replace(each, replacement_token="") for each in instances.values() if each.replacement_token in failed
        ]
        notes = {"caution": caution.dump()} if caution != book.launch_breaker else None
        await self._ledger.save(epoch, StateUpdate([*arrived, *bereft], completed_intents=settled, documents=notes))
        return failed

    async def _ask(self, intent: Intent, epoch: int, repeated: bool) -> _Answer:
        if not self._is_sure():
            raise LeaseLost
        inherited = intent.epoch != epoch
        try:
            return _Answer(intent, repeated, inherited, await self._fleet.launch(intent, repeated=repeated))
        except FleetError as error:
            return _Answer(intent, repeated, inherited, error=error)

    def _judge(self, answer: _Answer, caution: LaunchBreaker, now: float) -> LaunchBreaker:
        """Says what was answered, and what is to be minded from now on."""
        order, token, error = answer.intent.request, answer.intent.token, answer.error
        if error is None:
            given = len(answer.sightings)
            log.info(
                "event=instances_launched token=%s offering=%s asked=%d given=%d repeated=%s instance_ids=%s",
                *(token, order.pool, order.count, given, answer.repeated),
                ",".join(each.id for each in answer.sightings),
            )
            self._meter.launched(answer.sightings[0].market if given else "", given)
            caution = caution.after_success()
            if given < order.count and not answer.repeated:
                why = f"{order.pool}: {given} of {order.count} given"
                caution = caution.after_failure(Cause.CAPACITY, order.pool, why, now, 0.0)
            return caution
        log.log(
            logging.ERROR if error.cause is Cause.REFUSED else logging.WARNING,
            "event=launch_failed token=%s offering=%s asked=%d cause=%s settled=%s error=%s",
            *(token, order.pool, order.count, error.cause.value, answer.is_settled(now), error),
        )
        self._meter.failed(error.cause.value)
        why = f"{order.pool}: {error}"
        return caution.after_failure(error.cause, order.pool, why, now, self._chance.random())


def _written(sighting: DescribedInstance, answer: _Answer, now: float) -> Instance:
    """As it is written down: launched now by Redis' clock, or, where it was asked for before, when the fleet says."""
    launched_at = min(now, max(answer.intent.recorded_at, sighting.launched_at)) if answer.repeated else now
    return replace(sighting.to_instance(), launched_at=launched_at)
