"""Jobs of plain RQ clients of which a slot calls a callback alone, before their end is recorded.

`on_stopped` is called after a job was stopped here, `on_failure` of a job that was lost with its worker too often. That
job is claimed once more for it (`ClaimedJob.is_abandoned`).
"""

import logging
from collections.abc import Iterable, Sequence

from jobqueue.claimed_job import ClaimedJob
from jobqueue.error_message import first_line
from jobqueue.lifecycle.finish import Failed, Outcome, Stopped
from jobqueue.model import FailureReason
from worker_node.slots.slot_pool import SlotPool

log = logging.getLogger(__name__)

MAX_LOGGED_CHARS = 300
ABANDONED_TEXT = "worker lost: the job's workers died or were unreachable, once too often"


class StoppedCallbacks:
    """Keeps stopped jobs whose callback is still to be called. Their leases are renewed as those of running jobs.

    Attributes:
        waiting: jobs that no slot could take yet.
    """

    def __init__(self, slots: SlotPool) -> None:
        self._slots = slots
        self._closed = False
        self.waiting: list[ClaimedJob] = []

    def take(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Return the outcomes that can be recorded now; of other jobs, the callback is called first."""
        recorded: list[Outcome] = []
        for outcome in outcomes:
            job = outcome.job
            if job.stopped:
                if isinstance(outcome, Failed):
                    message = first_line(outcome.traceback)[:MAX_LOGGED_CHARS]
                    log.warning("event=stopped_callback_failed job_id=%s message=%r", job.id, message)
                recorded.append(Stopped(job, outcome.function, outcome.seconds))
            elif job.is_abandoned and not isinstance(outcome, Stopped):
                recorded.append(_abandoned(outcome))
            elif isinstance(outcome, Stopped) and not self._closed and job.rq_callbacks and job.rq_callbacks.on_stopped:
                timeout = job.rq_callbacks.on_stopped.timeout_seconds
                self.waiting.append(job._replace(stopped=True, timeout_seconds=max(0, timeout)))
            else:
                recorded.append(outcome)
        return recorded

    def take_back(self, job: ClaimedJob) -> bool:
        """Keep a job that a slot could not begin with; return whether its callback is still to be called."""
        if not self._closed:
            self.waiting.append(job)
        return not self._closed

    def assign(self) -> None:
        """Give jobs to slots that can take some."""
        if self.waiting:
            self.waiting = list(self._slots.assign(self.waiting))

    def drop(self, jobs: Sequence[ClaimedJob]) -> None:
        """Forget jobs whose lease is gone."""
        gone = {(job.id, job.token) for job in jobs}
        self.waiting = [job for job in self.waiting if (job.id, job.token) not in gone]

    def close(self) -> list[ClaimedJob]:
        """Call no more callbacks; return the jobs that still wait."""
        self._closed = True
        jobs, self.waiting = self.waiting, []
        return jobs


def _abandoned(outcome: Outcome) -> Failed:
    """Return the end of a job whose `on_failure` alone has been called, whatever came of that."""
    text = ABANDONED_TEXT
    if isinstance(outcome, Failed):
        text += f"\nIts on_failure callback failed:\n{outcome.traceback}"
    reason = FailureReason.WORKER_LOST
    return Failed(outcome.job, outcome.function, outcome.seconds, reason, text, final=True)
