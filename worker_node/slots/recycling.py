"""Recycling limits of an executor, as Celery's `max_tasks_per_child` and `max_memory_per_child`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecyclingLimits:
    """When an executor is replaced, between two jobs: after `max_jobs` jobs, or if its memory has grown too much."""

    max_jobs: int
    max_growth_bytes: int


class ExecutorUsage:
    """Number of jobs and memory growth of one executor.

    Args:
        resident_bytes: its memory when it was new.

    Attributes:
        jobs: how many jobs it has run.
    """

    def __init__(self, limits: RecyclingLimits, resident_bytes: int) -> None:
        self._limits = limits
        self._resident_bytes_at_start = resident_bytes
        self.jobs = 0

    def growth_bytes(self, resident_bytes: int) -> int:
        """Return how much the memory has grown."""
        return resident_bytes - self._resident_bytes_at_start

    def exceeds_limits(self, resident_bytes: int) -> bool:
        """Return whether the executor must be replaced."""
        return self.jobs >= self._limits.max_jobs or self.growth_bytes(resident_bytes) > self._limits.max_growth_bytes
