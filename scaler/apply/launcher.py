"""Write-ahead launches: each is recorded before it is requested, and repeated under its token until it is answered.

The token makes the repetition idempotent: the fleet returns the instances of the first call.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from scaler.apply.open_launches import OpenLaunches
from scaler.fleets.fleet import Cause, Fleet, FleetError
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from scaler.metrics import ScalerMetrics
from scaler.state.launch_breaker import LaunchBreaker
from scaler.state.store import LeadershipLost, ScalerState, ScalerStore, StateUpdate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Answer to a launch call.

    Attributes:
        is_repeat: the launch may have been requested before.
    """

    intent: Intent
    is_repeat: bool
    launched: Sequence[DescribedInstance] = ()
    error: FleetError | None = None

    @property
    def is_final(self) -> bool:
        """Whether the launch can bring no instances beyond those in this answer.

        The refusal of a repetition says nothing of the call before it, which may have launched instances.
        """
        match None if self.error is None else self.error.cause:
            case None | Cause.TOKEN_EXPIRED:
                return True
            case Cause.UNKNOWN:
                return False
            case _:
                return not self.is_repeat


class Launcher:
    """Launches instances of one fleet.

    Args:
        holds_lease: whether no other manager can be the leader; checked right before each call.
        clock: monotonic seconds.
        rng: source of tokens and backoff jitter.
    """

    def __init__(
        self,
        fleet: Fleet,
        store: ScalerStore,
        metrics: ScalerMetrics,
        *,
        holds_lease: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random,
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._metrics = metrics
        self._holds_lease = holds_lease
        self._rng = rng
        self._open = OpenLaunches(clock, rng)
        self._told: set[tuple[str, str]] = set()
        self._is_exhausted = False

    def on_leadership_gained(self) -> None:
        """Start over: another leader may have sent calls meanwhile."""
        self._open.forget()
        self._told, self._is_exhausted = set(), False

    def overdue(self) -> set[str]:
        """See `OpenLaunches`."""
        return self._open.overdue()

    async def repeat_unanswered(self, epoch: int, state: ScalerState) -> bool:
        """Repeat the launches whose answer is not known; return whether any call was sent.

        Raises:
            LeadershipLost, ShardUnavailable: their intents stay recorded.
        """
        due = self._open.due(state.intents, state.now)
        if not due or state.now < state.launch_breaker.not_before:
            return False
        # After a failure, one call shows whether calls succeed again.
        due = due[:1] if state.launch_breaker.failures else due
        await self._request_all(epoch, state, state.instances, due, is_repeat=True)
        return True

    def can_launch(self, state: ScalerState, instances: Mapping[str, Instance]) -> bool:
        """Whether any capacity pool can be requested now."""
        is_possible = bool(self._plan(state, instances, 1))
        if not is_possible and not self._is_exhausted:
            self._is_exhausted = True
            log.warning(
                "event=no_capacity_pool_available reason=all_pools_cooling_down: nothing is launched until one can be"
                " tried again. The last failure was %s",
                state.launch_breaker.last_failure,
            )
        return is_possible

    async def launch(
        self, epoch: int, state: ScalerState, instances: Mapping[str, Instance], count: int, *, max_instances: int
    ) -> Sequence[Intent]:
        """Launch `count` instances, or fewer if the capacity pools allow no more.

        Args:
            max_instances: maximum number of existing and pending instances together.

        Returns:
            The intents that brought instances or still can.

        Raises:
            LeadershipLost, ShardUnavailable: recorded intents stay recorded.
        """
        requests = self._plan(state, instances, count)
        if not requests:
            return ()
        requests = requests[:1] if state.launch_breaker.failures else requests
        intents = [Intent(f"{self._rng.getrandbits(128):032x}", state.now, epoch, request) for request in requests]
        if not await self._store.record_intents(epoch, intents, max_instances=max_instances):
            log.warning("event=launch_rejected reason=limit wanted=%d max_instances=%d", count, max_instances)
            return ()
        failed = await self._request_all(epoch, state, instances, intents, is_repeat=False)
        return [intent for intent in intents if intent.token not in failed]

    def _plan(self, state: ScalerState, instances: Mapping[str, Instance], count: int) -> Sequence[LaunchRequest]:
        pending, breaker = [intent.request for intent in state.intents], state.launch_breaker
        requests = self._fleet.plan(count, instances.values(), breaker.cooling_pools(state.now), pending)
        return [breaker.limited(request) for request in requests]

    async def _request_all(
        self,
        epoch: int,
        state: ScalerState,
        instances: Mapping[str, Instance],
        intents: Sequence[Intent],
        *,
        is_repeat: bool,
    ) -> set[str]:
        """Send the calls, save the answers, and return the tokens of the launches that failed for good."""
        answers = await asyncio.gather(*(self._request(intent, is_repeat) for intent in intents))
        launched: list[Instance] = []
        breaker = state.launch_breaker
        for answer in answers:
            self._note_open(answer)
            breaker = self._record_answer(answer, breaker, state.now)
            launched += [
                _to_record(each, answer, state.now)
                for each in answer.launched
                if not each.ended and each.id not in state.instances
            ]
        completed = [answer.intent.token for answer in answers if answer.is_final]
        failed = {answer.intent.token for answer in answers if not answer.launched}.intersection(completed)
        # An instance whose replacement failed gets another one in a later round.
        without_replacement = [
            replace(each, replacement_token="") for each in instances.values() if each.replacement_token in failed
        ]
        documents = {"caution": breaker.dump()} if breaker != state.launch_breaker else None
        changed = [*launched, *without_replacement]
        await self._store.save(epoch, StateUpdate(changed, completed_intents=completed, documents=documents))
        return failed

    async def _request(self, intent: Intent, is_repeat: bool) -> _Answer:
        if not self._holds_lease():
            raise LeadershipLost
        try:
            launched = await self._fleet.launch(intent, repeated=is_repeat)
        except FleetError as error:
            return _Answer(intent, is_repeat, error=error)
        return _Answer(intent, is_repeat, launched)

    def _note_open(self, answer: _Answer) -> None:
        if answer.is_final or answer.error is None:
            self._open.close(answer.intent.token)
        else:
            self._open.keep(answer.intent.token, is_refused=answer.error.cause is not Cause.UNKNOWN)

    def _record_answer(self, answer: _Answer, breaker: LaunchBreaker, now: float) -> LaunchBreaker:
        """Log and count an answer, and return the launch breaker after it."""
        request, error = answer.intent.request, answer.error
        if error is None:
            return self._record_success(answer, breaker, now)
        log.log(
            self._level_of(error, request.pool),
            "event=launch_failed token=%s pool=%s requested=%d cause=%s final=%s error=%s",
            *(answer.intent.token, request.pool, request.count, error.cause.value, answer.is_final, error.explained),
        )
        self._metrics.failed(error.cause.value)
        description = f"{request.pool}: {error.explained}"
        refused = 0 if answer.is_repeat else request.count  # the call before can have launched them
        return breaker.after_failure(error.cause, request.pool, description, now, self._rng.random(), refused=refused)

    def _level_of(self, error: FleetError, pool: str) -> int:
        """Return the level at which a failure is logged: each is told once until a launch succeeds, of this pool if it
        can be the pool's fault.
        """
        concerns_pool = error.cause in (Cause.CAPACITY, Cause.POOL_REFUSED, Cause.REFUSED)
        failure = (pool if concerns_pool else "", error.code)
        if failure in self._told:
            return logging.DEBUG
        self._told.add(failure)
        return logging.ERROR if error.cause in (Cause.REFUSED, Cause.POOL_REFUSED) else logging.WARNING

    def _record_success(self, answer: _Answer, breaker: LaunchBreaker, now: float) -> LaunchBreaker:
        request, count = answer.intent.request, len(answer.launched)
        log.info(
            "event=instances_launched token=%s pool=%s requested=%d launched=%d repeated=%s instance_ids=%s",
            *(answer.intent.token, request.pool, request.count, count, answer.is_repeat),
            ",".join(each.id for each in answer.launched),
        )
        self._told = {(pool, code) for pool, code in self._told if pool not in ("", request.pool)}
        self._is_exhausted = False
        self._metrics.launched(answer.launched[0].market if count else "", count)
        breaker = breaker.after_success(request.pool, count)
        if count < request.count and not answer.is_repeat:
            description = f"{request.pool}: launched {count} of {request.count} instances"
            breaker = breaker.after_failure(Cause.CAPACITY, request.pool, description, now, 0.0)
        return breaker


def _to_record(launched: DescribedInstance, answer: _Answer, now: float) -> Instance:
    """Return the record of a launched instance. Its launch time is now, unless an earlier call can have launched it."""
    launched_at = answer.intent.launched_at(launched.launched_at, now) if answer.is_repeat else now
    return replace(launched.to_instance(), launched_at=launched_at)
