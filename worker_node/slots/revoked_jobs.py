"""Jobs that are not to run here any more: cancelled by somebody, or leased to somebody else."""

from jobqueue.model import ClaimedJob
from worker_node.slots.outcomes import KillReason

REMEMBERED_SECONDS = 5.0
"""A message may overtake the answer to a claim, not by more than this; the next renewal of the lease would tell too.
Long after, the same id may be here again for good reason: requeued."""


class RevokedJobs:
    """Remembers them until they are gone. Cancelling is by id, and may come before the job itself does."""

    def __init__(self) -> None:
        self._cancelled: dict[str, float] = {}
        self._lost: dict[tuple[str, str], float] = {}

    def __bool__(self) -> bool:
        return bool(self._cancelled or self._lost)

    def cancel(self, job_id: str, now: float) -> None:
        """The job of that id is to be ended, should it be here or come."""
        self._forget_old(now)
        self._cancelled[job_id] = now

    def lose_lease(self, job: ClaimedJob, now: float) -> None:
        """The lease on the job is gone."""
        self._forget_old(now)
        self._lost[job.id, job.token] = now

    def reason(self, job: ClaimedJob) -> KillReason | None:
        """Why the job is not to run; None where nothing speaks against it."""
        if (job.id, job.token) in self._lost:
            return KillReason.LEASE_LOST
        return KillReason.CANCELLED if job.id in self._cancelled else None

    def forget(self, job: ClaimedJob) -> None:
        """The job is gone from here: its id may come again, requeued."""
        self._cancelled.pop(job.id, None)
        self._lost.pop((job.id, job.token), None)

    def _forget_old(self, now: float) -> None:
        oldest = now - REMEMBERED_SECONDS
        self._cancelled = {job_id: at for job_id, at in self._cancelled.items() if at > oldest}
        self._lost = {lease: at for lease, at in self._lost.items() if at > oldest}
