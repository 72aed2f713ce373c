"""What a slot does when its executor has died: each job that it had gets an outcome, or leaves the slot without one."""

import logging
from dataclasses import replace
from time import monotonic

from jobqueue.claimed_job import ClaimedJob
from processes.exit_code import describe_exit
from worker_node.ipc.protocol import RECYCLING_REASONS
from worker_node.job_limits import LimitTable
from worker_node.slots.held_jobs import HeldJobs
from worker_node.slots.outcomes import ExecutorDeath, classify_death
from worker_node.slots.reports import ReportChecker, is_version
from worker_node.slots.slot_events import SlotEvents

log = logging.getLogger(__name__)


class ExecutorDeaths:
    """Accounts for the jobs of one slot's executors.

    Args:
        slot: number of the slot, for the log.
        held: the slot's jobs. None is left after a death.
        checker: knows the function that a job calls.
        limits: what jobs may use.
        events: told what became of the jobs.
    """

    def __init__(
        self, slot: int, held: HeldJobs, checker: ReportChecker, limits: LimitTable, events: SlotEvents
    ) -> None:
        self._slot = slot
        self._held = held
        self._checker = checker
        self._limits = limits
        self._events = events

    def handle(self, pid: int, death: ExecutorDeath, *, intended: bool) -> None:
        """Account for the jobs of an executor after its last reports.

        Args:
            intended: whether the agent intended the death.
        """
        death, to_blame = self._complete(death)
        jobs = self._held.clear()
        outcomes, released = classify_death(jobs, death)
        if death.exit_code in RECYCLING_REASONS and to_blame is None:
            log.info(
                "event=executor_recycled slot=%d pid=%d reason=%s detail=%r",
                *(self._slot, pid, RECYCLING_REASONS[death.exit_code], death.function),
            )
            intended = True
        elif not intended and (jobs or death.exit_code != 0):
            job_id = outcomes[0].job.id if outcomes else ""
            log.warning(
                "event=executor_died slot=%d pid=%d %s job_id=%s",
                *(self._slot, pid, describe_exit(death.exit_code), job_id),
            )
        if outcomes:
            self._events.ended(outcomes)
        elif released and (not intended or (death.kill is not None and death.kill.is_unexplained)):
            self._events.suspected(released.pop(0))
        if released:
            self._events.released(released)

    def _complete(self, death: ExecutorDeath) -> tuple[ExecutorDeath, ClaimedJob | None]:
        """Return the death by what the agent itself knows, and the job to blame; the executor may have lied."""
        sequence = self._held.due if death.begun >= self._held.due else 0
        if death.kill is not None:
            sequence = death.kill.sequence
        job = self._held.get(sequence)
        if job is None:
            return replace(death, begun=0), None
        function = self._checker.function_of(job, death.function)
        seconds = max(0.0, min(death.seconds, monotonic() - self._held.due_since()))
        version = death.version if death.begun == sequence and is_version(death.version) else ""
        hint = self._limits.of(function).hint()
        complete = replace(death, begun=sequence, function=function, seconds=seconds, version=version, hint=hint)
        return complete, job
