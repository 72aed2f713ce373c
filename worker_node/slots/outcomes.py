"""Decides what became of jobs: from an executor's report, or from the death of an executor."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Retried, Stopped
from jobqueue.model import ClaimedJob, Reason
from worker_node.ipc.protocol import Ending, Report


class Why(Enum):
    """Why a running job is ended, which decides what becomes of it."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    DRAINED = "drained"
    GARBLED = "garbled"


@dataclass(frozen=True, slots=True)
class Death:
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
    doomed: tuple[int, Why] | None


def read_report(job: ClaimedJob, report: Report, *, recorded: bool) -> Outcome:
    """The outcome of a job that its executor reports. `recorded`: an execution record stands."""
    _, ending, function, seconds, body, detail = report
    if ending == Ending.FINISHED:
        return Finished(job, function, seconds, body, recorded)  # type: ignore[arg-type]  # Bytes, with this ending.
    if ending == Ending.RETRY:
        most, intervals, at_front = detail
        return Retried(job, function, seconds, most, tuple(intervals), at_front, body)  # type: ignore[arg-type]
    reason = Reason.REJECTED if ending == Ending.REJECTED else Reason.EXCEPTION
    return Failed(job, function, seconds, reason, body, final=bool(detail))  # type: ignore[arg-type]  # Text.


def judge(left: Mapping[int, ClaimedJob], death: Death) -> tuple[list[Outcome], list[ClaimedJob]]:
    """Decides about the jobs that were with an executor when it died: one is to blame at most.

    Returns:
        the outcomes, and the jobs that are to run elsewhere.
    """
    ended: list[Outcome] = []
    returned: list[ClaimedJob] = []
    for sequence, job in left.items():
        if death.doomed is not None and sequence == death.doomed[0]:
            outcome = _killed(job, death, death.doomed[1])
            if outcome is not None:
                ended.append(outcome)
            elif death.doomed[1] is Why.DRAINED:
                returned.append(job)
        elif death.doomed is None and sequence == death.running:
            message = f"the executor process ended while it ran the job: {describe_exit(death.exit_code)}"
            ended.append(Failed(job, death.function, death.seconds, Reason.WORKER_LOST, message))
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


def _killed(job: ClaimedJob, death: Death, why: Why) -> Outcome | None:
    function, seconds = death.function, death.seconds
    match why:
        case Why.TIMEOUT:
            message = f"the job was ended after {seconds:.1f} seconds: its timeout is {job.timeout_seconds} seconds"
            return Failed(job, function, seconds, Reason.TIMEOUT, message)
        case Why.GARBLED:
            message = "the job wrote into its executor's connection to the worker, which had to end it"
            return Failed(job, function, seconds, Reason.WORKER_LOST, message)
        case Why.CANCELLED:
            return Stopped(job, function, seconds)
        case Why.LEASE_LOST | Why.DRAINED:
            return None
