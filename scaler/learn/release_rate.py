"""Learns whether running jobs end as soon as the survival curve of past jobs says. Pure.

Jobs that were submitted together are often alike. If they are long, none of them ends when the curve expects it of
some, and to wait for one is to wait in vain. The same holds for a new function, of which the curve knows nothing.
"""

from collections.abc import Callable, Sequence
from math import exp, log

PRIOR_RELEASES = 1.0
"""Weight of the prior in releases. The prior is that jobs end as expected."""
REMEMBERED_RELEASES = 4.0
"""What was seen before this many further expected releases counts for 1 ÷ e."""
MAX_SAMPLED_AGES = 64
"""Running jobs that are looked at one by one; of more, a sample represents all."""


class ReleaseRate:
    """Compares how many jobs have ended with how many the survival curve expected.

    Attributes:
        factor: ended ÷ expected jobs, above 0 and at most 1. It scales the hazard, the rate at which jobs end.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self._ended = self._expected = 0.0
        self._last_at = 0.0
        self._running = 0
        self._sampled_ages: Sequence[float] = ()

    def observe(self, now: float, ended: int, ages: Sequence[float], survival: Callable[[float], float]) -> None:
        """Update the factor.

        Args:
            ended: number of jobs that have ended since the last call.
            ages: seconds that each running job has run.
            survival: share of all jobs that run longer than an age in seconds; above 0.
        """
        elapsed_seconds = now - self._last_at
        if self._sampled_ages and elapsed_seconds > 0:
            hazards = [log(survival(age) / survival(age + elapsed_seconds)) for age in self._sampled_ages]
            expected = sum(hazards) * self._running / len(hazards)
            fading = exp(-expected / REMEMBERED_RELEASES)
            # What is expected evenly over this time has itself faded by its end.
            self._expected = self._expected * fading + REMEMBERED_RELEASES * (1 - fading)
            self._ended = self._ended * fading + min(ended, self._running)
            self.factor = min(1.0, (PRIOR_RELEASES + self._ended) / (PRIOR_RELEASES + self._expected))
        self._last_at, self._running = now, len(ages)
        self._sampled_ages = ages[:: max(1, len(ages) // MAX_SAMPLED_AGES)]
