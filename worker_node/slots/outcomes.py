"""Classification of outcomes: what an executor's report, or its death, means for the jobs it had."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Retried, Stopped
from jobqueue.model import FailureReason
from processes.exit_code import describe_exit
from worker_node.ipc.protocol import TaskOutcome, TaskReport

FAILURE_REASONS = {
    TaskOutcome.FAILED: FailureReason.EXCEPTION,
    TaskOutcome.REJECTED: FailureReason.REJECTED,
    TaskOutcome.LOST: FailureReason.WORKER_LOST,
    TaskOutcome.TIMEOUT: FailureReason.TIMEOUT,
}


class KillReason(Enum):
    """Why the agent kills a running job. It decides the job's outcome."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    DRAINED = "drained"
    PROTOCOL_ERROR = "protocol_error"
    LIMIT = "limit"
    STALLED = "stalled"
    COMMAND = "command"


class Kill(NamedTuple):
    """The agent's kill of an executor, because of the task with that sequence number (0: none is to blame).

    `detail`: which limit.
    """

    sequence: int
    reason: KillReason
    detail: str = ""

    @property
    def is_unexplained(self) -> bool:
        """Whether the executor did what it never does by itself, and no job is known to be to blame."""
        return self.sequence == 0 and self.reason in (KillReason.PROTOCOL_ERROR, KillReason.STALLED)


@dataclass(frozen=True, slots=True)
class ExecutorDeath:
    """How an executor ended.

    Attributes:
        exit_code: minus the signal's number if a signal killed it.
        begun: sequence number of the last task that had begun; 0 for none.
        function: public name of the function that this task called.
        seconds: for how long the task had run.
        kill: None if it was not the agent that killed the executor for a task.
        version: hash of the source of the function's module; '' for a built-in function, or if it is not known.
        hint: what else to say of a death for which nobody knows the reason.
    """

    exit_code: int
    begun: int
    function: str
    seconds: float
    kill: Kill | None
    version: str = ""
    hint: str = ""


def classify_report(job: ClaimedJob, report: TaskReport, *, has_execution_record: bool) -> Outcome:
    """Return the outcome of a job that its executor reports."""
    _, outcome, function, seconds, body, detail, version, _ = report
    if outcome == TaskOutcome.FINISHED:
        return Finished(job, function, seconds, body, has_execution_record, version)  # type: ignore[arg-type]  # Bytes for this outcome.
    if outcome == TaskOutcome.RETRY:
        max_retries, intervals, at_front = detail
        return Retried(job, function, seconds, max_retries, tuple(intervals), at_front, body, version)  # type: ignore[arg-type]
    reason = FAILURE_REASONS[TaskOutcome(outcome)]
    return Failed(job, function, seconds, reason, body, final=bool(detail), version=version)  # type: ignore[arg-type]  # Text.


def classify_death(held_jobs: Mapping[int, ClaimedJob], death: ExecutorDeath) -> tuple[list[Outcome], list[ClaimedJob]]:
    """Decide about the jobs that an executor had when it died. At most one of them is to blame.

    Args:
        held_jobs: those without a report, by sequence number.

    Returns:
        the outcomes, and the jobs to release, so that they run elsewhere.
    """
    outcomes: list[Outcome] = []
    released: list[ClaimedJob] = []
    for sequence, job in held_jobs.items():
        if death.kill is not None and sequence == death.kill.sequence:
            outcome = _classify_killed(job, death, death.kill)
            if outcome is not None:
                outcomes.append(outcome)
            elif death.kill.reason is KillReason.DRAINED:
                released.append(job)
        elif death.kill is None and sequence == death.begun:
            message = f"the executor process died while running the job: {describe_exit(death.exit_code)}{death.hint}"
            outcomes.append(_failed(job, death, FailureReason.WORKER_LOST, message))
        else:
            released.append(job)
    return outcomes, released


def _classify_killed(job: ClaimedJob, death: ExecutorDeath, kill: Kill) -> Outcome | None:
    seconds = death.seconds
    match kill.reason:
        case KillReason.TIMEOUT:
            message = f"the job was killed after {seconds:.1f} seconds: its timeout is {job.timeout_seconds} seconds"
            return _failed(job, death, FailureReason.TIMEOUT, message)
        case KillReason.PROTOCOL_ERROR:
            message = (
                "the job was killed: it wrote into the socket between its executor and the worker's agent, or closed it"
            )
            return _failed(job, death, FailureReason.WORKER_LOST, message)
        case KillReason.LIMIT:
            message = f"the job was killed after {seconds:.1f} seconds: {kill.detail}"
            return _failed(job, death, FailureReason.EXCEPTION, message)
        case KillReason.COMMAND:
            message = f"the job was killed after {seconds:.1f} seconds: its worker was told to (RQ's `kill-horse`)"
            return _failed(job, death, FailureReason.WORKER_LOST, message)
        case KillReason.CANCELLED:
            return Stopped(job, death.function, seconds)
        case KillReason.LEASE_LOST | KillReason.DRAINED | KillReason.STALLED:
            return None


def _failed(job: ClaimedJob, death: ExecutorDeath, reason: FailureReason, message: str) -> Failed:
    return Failed(job, death.function, death.seconds, reason, message, version=death.version)
