"""When an executor has served long enough."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecyclingLimits:
    """An executor is replaced, between two jobs, after so many jobs, or grown by so much memory."""

    max_jobs: int
    max_growth_bytes: int


class ExecutorUsage:
    """What an executor has been through.

    Args:
        resident_bytes: its memory when it was fresh.

    Attributes:
        jobs: how many it has run.
    """

    def __init__(self, limits: RecyclingLimits, resident_bytes: int) -> None:
        self._limits = limits
        self._resident_at_start = resident_bytes
        self.jobs = 0

    def growth_bytes(self, resident_bytes: int) -> int:
        """By how much it has grown."""
        return resident_bytes - self._resident_at_start

    def exceeds_limits(self, resident_bytes: int) -> bool:
        """Whether it is to be replaced."""
        return self.jobs >= self._limits.max_jobs or self.growth_bytes(resident_bytes) > self._limits.max_growth_bytes
