"""When to make a call to a fleet again that has failed."""

import random
from collections.abc import Callable

from jobqueue.backoff import Outage, exponential_seconds


class CallBackoff:
    """The failures of one kind of call in a row: a pause after each, which doubles, and what to log.

    Args:
        first_seconds, max_seconds: the first and the longest pause; each is shortened by up to a half at random.
        clock: monotonic seconds.
    """

    def __init__(
        self, first_seconds: float, max_seconds: float, *, clock: Callable[[], float], rng: random.Random
    ) -> None:
        self._first_seconds, self._max_seconds = first_seconds, max_seconds
        self._clock = clock
        self._rng = rng
        self._outage = Outage(clock)
        self._failures = 0
        self._resume_at = float("-inf")

    @property
    def is_paused(self) -> bool:
        """Whether the call must not be made yet."""
        return self._clock() < self._resume_at

    def pause(self) -> None:
        """Pause once more, longer than before."""
        longest = exponential_seconds(self._failures, self._first_seconds, self._max_seconds)
        self._resume_at = self._clock() + longest * (1.0 - self._rng.random() / 2)
        self._failures += 1

    def failed(self, kind: str) -> bool:
        """Pause after a failure; return whether to log it: it is the first of its kind since the last success."""
        self.pause()
        return self._outage.begin(kind)

    def succeeded(self) -> float | None:
        """Start over; return how many seconds the call has failed for, or None if it has not."""
        self.reset()
        return self._outage.end()

    def reset(self) -> None:
        """Make the next call at once."""
        self._failures, self._resume_at = 0, float("-inf")
