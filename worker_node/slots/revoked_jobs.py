"""Revoked jobs: jobs that must not run on this worker, because they were cancelled or their lease is lost.

Celery uses the same word. A cancellation can overtake the answer to the claim, so it is remembered for a while.
"""

from jobqueue.claimed_job import ClaimedJob
from worker_node.slots.outcomes import KillReason

REMEMBERED_SECONDS = 5.0
"""How long an entry is kept. A cancellation can arrive before the answer to the claim, but not by more than this; if it
does, the next lease renewal reports it too. Much later the same id may be here again legitimately, requeued."""


class RevokedJobs:
    """The set of revoked jobs. A cancellation is by id and may arrive before the job does."""

    def __init__(self) -> None:
        self._cancelled: dict[str, float] = {}
        self._lost: dict[tuple[str, str], float] = {}

    def __bool__(self) -> bool:
        return bool(self._cancelled or self._lost)

    def cancel(self, job_id: str, now: float) -> None:
        """Add the job of that id, whether it is here or may still arrive."""
        self._forget_old(now)
        self._cancelled[job_id] = now

    def lose_lease(self, job: ClaimedJob, now: float) -> None:
        """Add a job whose lease is gone."""
        self._forget_old(now)
        self._lost[job.id, job.token] = now

    def reason(self, job: ClaimedJob) -> KillReason | None:
        """Return why the job must not run; None if it may."""
        if (job.id, job.token) in self._lost:
            return KillReason.LEASE_LOST
        return KillReason.CANCELLED if job.id in self._cancelled and not job.stopped else None

    def forget(self, job: ClaimedJob) -> None:
        """Remove a job that has left this worker: the same id may come back, requeued."""
        self._cancelled.pop(job.id, None)
        self._lost.pop((job.id, job.token), None)

    def _forget_old(self, now: float) -> None:
        oldest = now - REMEMBERED_SECONDS
        self._cancelled = {job_id: at for job_id, at in self._cancelled.items() if at > oldest}
        self._lost = {lease: at for lease, at in self._lost.items() if at > oldest}
