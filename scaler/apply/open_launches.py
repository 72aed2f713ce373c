"""Launches whose answer is missing: when each is repeated, and when its instances, if any, would be described."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scaler.fleets.instances import MAX_OPEN_SECONDS, Intent

REPEAT_SECONDS, MAX_REPEAT_SECONDS = 5.0, 60.0
"""Pause before a launch is repeated. It doubles with each repetition."""
YOUNG_SECONDS = 30.0
"""Up to this age, a new leader repeats a launch at once."""
UNSEEN_SECONDS = 100.0
"""How long after a call without an answer its instances can be missing from descriptions. EC2 takes up to 90 s; the
rest is for one more poll."""
INTENT_HOLD_SECONDS = MAX_OPEN_SECONDS
"""The same for the intents of a former leader, counted from when this one took over: the other can be paused, and
still send its calls."""


@dataclass(slots=True)
class _OpenLaunch:
    """What this manager knows of one launch.

    Attributes:
        hold_until: until then, instances that it brought can be missing from descriptions.
        is_refused: the last answer was a refusal, which says nothing of the calls before it.
    """

    hold_until: float
    repeat_at: float = 0.0
    repetitions: int = 0
    is_refused: bool = False


class OpenLaunches:
    """The launches without an answer, by their tokens.

    Args:
        clock: monotonic seconds.
        rng: for pauses.
    """

    def __init__(self, clock: Callable[[], float], rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._launches: dict[str, _OpenLaunch] = {}

    def forget(self) -> None:
        """Start over: another leader may have sent calls meanwhile."""
        self._launches = {}

    def due(self, intents: Sequence[Intent], now_recorded: float) -> Sequence[Intent]:
        """Return those of all recorded intents whose launch is to be repeated now.

        Args:
            now_recorded: the time now, on the clock that intents are recorded by.
        """
        now = self._clock()
        self._launches = {
            each.token: self._launches.get(each.token) or self._taken_over(now, now_recorded - each.recorded_at)
            for each in intents
        }
        return [each for each in intents if now >= self._launches[each.token].repeat_at]

    def _taken_over(self, now: float, age_seconds: float) -> _OpenLaunch:
        """Return a former leader's launch. A young one is repeated at once. The pauses of an old one had grown: without
        one here, leaders that change often would send all calls each time.
        """
        pause_seconds = self._rng.uniform(0.0, min(MAX_REPEAT_SECONDS, max(0.0, age_seconds - YOUNG_SECONDS)))
        return _OpenLaunch(now + INTENT_HOLD_SECONDS, repeat_at=now + pause_seconds)

    def overdue(self) -> set[str]:
        """Return the tokens of refused launches whose instances, if there were any, would be described by now."""
        now = self._clock()
        return {token for token, launch in self._launches.items() if launch.is_refused and now >= launch.hold_until}

    def close(self, token: str) -> None:
        """Note that the answer is known."""
        self._launches.pop(token, None)

    def keep(self, token: str, *, is_refused: bool) -> None:
        """Note a call that leaves the launch open: it was refused, or it had no answer."""
        now = self._clock()
        launch = self._launches.setdefault(token, _OpenLaunch(now + UNSEEN_SECONDS))
        launch.repeat_at = now + min(MAX_REPEAT_SECONDS, REPEAT_SECONDS * 2**launch.repetitions)
        launch.repetitions = min(launch.repetitions + 1, 16)
        launch.is_refused = is_refused
        if not is_refused:
            launch.hold_until = max(launch.hold_until, now + UNSEEN_SECONDS)
