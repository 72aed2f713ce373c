"""Decides what became of jobs: from an executor's report, or from the death of an executor."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Retried, Stopped
from jobqueue.model import ClaimedJob, FailureReason
from worker_node.ipc.protocol import TaskOutcome, TaskReport


class KillReason(Enum):
    """Why a running job is ended, which decides what becomes of it."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    DRAINED = "drained"
    PROTOCOL_ERROR = "garbled"


@dataclass(frozen=True, slots=True)
class ExecutorDeath:
    """An executor's end.

    Attributes:
        exit_code: minus the signal's number where one killed it.
        running: sequence number of the task that ran, 0 for none.
        function: what that task called.
        seconds: for how long.
        doomed: the task that the executor was killed for, and why; None where it was not the agent who killed it.
    """

    exit_code: int
    running: int
    function: str
    seconds: float
    killing: tuple[int, KillReason] | None


def classify_report(job: ClaimedJob, report: TaskReport, *, recorded: bool) -> Outcome:
    """The outcome of a job that its executor reports. `recorded`: an execution record stands."""
    _, ending, function, seconds, body, detail = report
    if ending == TaskOutcome.FINISHED:
        return Finished(job, function, seconds, body, recorded)  # type: ignore[arg-type]  # Bytes, with this ending.
    if ending == TaskOutcome.RETRY:
        most, intervals, at_front = detail
        return Retried(job, function, seconds, most, tuple(intervals), at_front, body)  # type: ignore[arg-type]
    reason = FailureReason.REJECTED if ending == TaskOutcome.REJECTED else FailureReason.EXCEPTION
    return Failed(job, function, seconds, reason, body, final=bool(detail))  # type: ignore[arg-type]  # Text.


def classify_death(held_jobs: Mapping[int, ClaimedJob], death: ExecutorDeath) -> tuple[list[Outcome], list[ClaimedJob]]:
    """Decides about the jobs that were with an executor when it died: one is to blame at most.

    Returns:
        the outcomes, and the jobs that are to run elsewhere.
    """
    ended: list[Outcome] = []
    returned: list[ClaimedJob] = []
    for sequence, job in held_jobs.items():
        if death.killing is not None and sequence == death.killing[0]:
            outcome = _killed(job, death, death.killing[1])
            if outcome is not None:
                ended.append(outcome)
            elif death.killing[1] is KillReason.DRAINED:
                returned.append(job)
        elif death.killing is None and sequence == death.running:
            message = f"the executor process ended while it ran the job: {describe_exit(death.exit_code)}"
            ended.append(Failed(job, death.function, death.seconds, FailureReason.WORKER_LOST, message))
        else:
            returned.append(job)
    return ended, returned


def describe_exit(code: int) -> str:
    """An exit code for people."""
    if code >= 0:
        return f"exit_code={code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"signal={name}" + (" (killed from outside, or out of memory)" if -code == signal.SIGKILL else "")


def _killed(job: ClaimedJob, death: ExecutorDeath, why: KillReason) -> Outcome | None:
    function, seconds = death.function, death.seconds
    match why:
        case KillReason.TIMEOUT:
            message = f"the job was ended after {seconds:.1f} seconds: its timeout is {job.timeout_seconds} seconds"
            return Failed(job, function, seconds, FailureReason.TIMEOUT, message)
        case KillReason.PROTOCOL_ERROR:
            message = "the job wrote into its executor's connection to the worker, which had to end it"
            return Failed(job, function, seconds, FailureReason.WORKER_LOST, message)
        case KillReason.CANCELLED:
            return Stopped(job, function, seconds)
        case KillReason.LEASE_LOST | KillReason.DRAINED:
            return None
