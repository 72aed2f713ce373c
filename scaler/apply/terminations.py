"""Calls that terminate instances: repeated with growing pauses, and without the instances that cannot be terminated."""

import logging
import random
from collections.abc import Callable, Sequence

from scaler.fleets.call_backoff import CallBackoff
from scaler.fleets.fleet import Cause, Fleet, FleetError

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 2.0, 60.0
"""Pause after a call that failed. It doubles with each failure."""
REFUSED_PAUSE_SECONDS = 300.0
"""Pause before an instance is named again that cannot be terminated, for instance because of termination protection."""
UNKNOWN_PAUSE_SECONDS = 90.0
"""The same if the fleet does not know the instance, which can be wrong while it is young. If it still does not know it
after that, the instance has ended."""

log = logging.getLogger(__name__)


class Terminations:
    """Terminates instances of one fleet.

    Args:
        on_failure: called with a label for each failed call to the fleet.
        clock: monotonic seconds.
        rng: source of backoff jitter.
    """

    def __init__(
        self, fleet: Fleet, *, on_failure: Callable[[str], None], clock: Callable[[], float], rng: random.Random
    ) -> None:
        self._fleet = fleet
        self._on_failure = on_failure
        self._clock = clock
        self._backoff = CallBackoff(FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, clock=clock, rng=rng)
        self._refused_until: dict[str, float] = {}
        self._unknown: set[str] = set()

    def on_leadership_gained(self) -> None:
        """Start over: ask for every instance in the next round."""
        self._refused_until, self._unknown = {}, set()
        self._backoff.reset()

    async def terminate(self, ids: Sequence[str]) -> Sequence[str]:
        """Terminate those of these instances whose turn it is; return the ids of those that end."""
        now = self._clock()
        self._refused_until = {id_: until for id_, until in self._refused_until.items() if id_ in ids}
        self._unknown.intersection_update(ids)
        due = [id_ for id_ in ids if now >= self._refused_until.get(id_, float("-inf"))]
        if not due or self._backoff.is_paused:
            return ()
        try:
            outcomes = await self._fleet.terminate(due)
        except FleetError as error:
            self._fail(due, error)
            return ()
        ended = [id_ for id_ in due if id_ in outcomes and self._has_ended(id_, outcomes[id_])]
        if any(id_ not in outcomes for id_ in due):
            self._backoff.pause()
        elif (seconds := self._backoff.succeeded()) is not None:
            log.info("event=termination_recovered after_seconds=%.1f", seconds)
        return sorted(ended)

    def _has_ended(self, id_: str, refusal: FleetError | None) -> bool:
        """Whether an instance has ended or is about to; if not, note why it was not terminated."""
        is_unknown = refusal is not None and refusal.cause is Cause.GONE
        if refusal is None or (is_unknown and id_ in self._unknown):
            return True
        if is_unknown:
            self._unknown.add(id_)
        else:
            self._unknown.discard(id_)
        self._refuse(id_, refusal, UNKNOWN_PAUSE_SECONDS if is_unknown else REFUSED_PAUSE_SECONDS)
        return False

    def _fail(self, ids: Sequence[str], error: FleetError) -> None:
        if self._backoff.failed(error.code):
            log.warning("event=termination_failed instance_ids=%s error=%s", ",".join(ids), error.explained)
        self._on_failure(f"terminate_{error.cause.value}")

    def _refuse(self, id_: str, error: FleetError, pause_seconds: float) -> None:
        if id_ not in self._refused_until:
            log.error(
                "event=termination_refused instance_id=%s error=%s: it counts towards the limit until it is gone",
                *(id_, error.explained),
            )
        self._on_failure(f"terminate_{error.cause.value}")
        self._refused_until[id_] = self._clock() + pause_seconds
