"""Steps of a wall clock: how they are found, and how recorded times follow them.

A clock steps when somebody sets it, when its machine wakes up, and, for Redis' clock, when another host becomes the
master. What was recorded before must not seem older, or younger, for that: an instance could be ended, or a pause last.
"""

from collections.abc import Callable
from dataclasses import replace

from scaler.fleets.instances import Instance
from scaler.state.launch_breaker import LaunchBreaker

MIN_STEP_SECONDS = 2.0
"""A smaller step does no harm."""

_TIMES = (
    *("launched_at", "arrived_at", "lost_at", "undescribed_at"),
    *("terminating_at", "fenced_at", "drained_at"),
)


class ClockSteps:
    """Finds the steps of one clock by comparing it with another one.

    Args:
        monotonic: seconds of a clock that never steps.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: tuple[float, float, float] | None = None

    def step(self, now: float, asked_at: float) -> float:
        """Return by how many seconds the clock has stepped since the last call; 0 if it has not.

        Args:
            now: time that the clock shows.
            asked_at: when it was asked, by the monotonic clock. The answer has only just arrived.
        """
        answered_at = self._monotonic()
        last, self._last = self._last, (now, asked_at, answered_at)
        if last is None:
            return 0.0
        last_now, last_asked_at, last_answered_at = last
        elapsed, shortest, longest = now - last_now, asked_at - last_answered_at, answered_at - last_asked_at
        step = max(0.0, elapsed - longest) or min(0.0, elapsed - shortest)
        return step if abs(step) >= MIN_STEP_SECONDS else 0.0


def instance_after_step(instance: Instance, seconds: float) -> Instance:
    """Return the instance with all its times moved by a step of the clock."""
    times = {name: getattr(instance, name) for name in _TIMES}
    return replace(instance, **{name: at + seconds for name, at in times.items() if at is not None})


def breaker_after_step(breaker: LaunchBreaker, seconds: float) -> LaunchBreaker:
    """Return the launch breaker after a step: pauses never become longer; those that a step ahead ends are over."""
    if seconds > 0:
        return replace(breaker, failed_at=breaker.failed_at + seconds) if breaker.failed_at else breaker
    return replace(
        breaker,
        cooldowns={pool: until + seconds for pool, until in breaker.cooldowns.items()},
        not_before=breaker.not_before + seconds,
        failed_at=breaker.failed_at + seconds,
    )
