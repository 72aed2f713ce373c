"""Suspects: jobs that were next, again and again, when an executor ended without a job to blame.

A job can hide from the agent that it has begun. It would be released and run again for ever.
"""

from jobqueue.model import MAX_LOSSES

MAX_REMEMBERED = 1000


class Suspects:
    """Counts the ends of executors for each job that was next. The oldest are forgotten."""

    def __init__(self) -> None:
        self._ends: dict[str, int] = {}

    def is_guilty(self, job_id: str) -> bool:
        """Count one more end; return whether they are as many as the losses after which a job fails."""
        ends = self._ends.pop(job_id, 0) + 1
        if ends >= MAX_LOSSES:
            return True
        self._ends[job_id] = ends
        if len(self._ends) > MAX_REMEMBERED:
            del self._ends[next(iter(self._ends))]
        return False
