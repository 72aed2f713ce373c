"""What an executor's report, or its death, means for the jobs it had."""

from dataclasses import replace

import pytest

from jobqueue.lifecycle.finish import Failed, Finished, Retried, Stopped
from jobqueue.model import FailureReason
from processes.exit_code import describe_exit
from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.ipc.protocol import TaskOutcome, TaskReport
from worker_node.slots.outcomes import (
    ExecutorDeath,
    Kill,
    KillReason,
    classify_death,
    classify_report,
)

JOB = claimed_job(timeout_seconds=7)
HELD_JOBS = {3: JOB, 4: JOB._replace(id="b"), 5: JOB._replace(id="c")}
CRASH = ExecutorDeath(exit_code=-11, begun=3, function="f", seconds=1.5, kill=None)


def test_only_the_running_job_is_blamed_for_a_crash() -> None:
    outcomes, released = classify_death(HELD_JOBS, CRASH)
    assert outcomes == [
        Failed(
            job=JOB,
            function="f",
            seconds=1.5,
            reason=FailureReason.WORKER_LOST,
            traceback="the executor process died while running the job: signal=SIGSEGV",
        )
    ]
    assert [job.id for job in released] == ["b", "c"]


@pytest.mark.parametrize("begun", [0, 2], ids=["none has begun", "a job that has been reported"])
def test_a_crash_between_two_jobs_is_blamed_on_none(begun: int) -> None:
    outcomes, released = classify_death(HELD_JOBS, replace(CRASH, begun=begun))
    assert (outcomes, [job.id for job in released]) == ([], ["a", "b", "c"])


@pytest.mark.parametrize(
    ("reason", "outcome", "released_ids"),
    [
        (KillReason.TIMEOUT, Failed, ["b", "c"]),
        (KillReason.PROTOCOL_ERROR, Failed, ["b", "c"]),
        (KillReason.CANCELLED, Stopped, ["b", "c"]),
        (KillReason.LEASE_LOST, None, ["b", "c"]),
        (KillReason.DRAINED, None, ["a", "b", "c"]),
    ],
)
def test_a_killed_jobs_outcome_follows_from_the_reason(
    reason: KillReason, outcome: type | None, released_ids: list[str]
) -> None:
    outcomes, released = classify_death(HELD_JOBS, replace(CRASH, exit_code=-9, kill=Kill(3, reason)))
    assert [type(found) for found in outcomes] == ([outcome] if outcome else [])
    assert [job.id for job in released] == released_ids


@pytest.mark.parametrize(
    "reason", [KillReason.TIMEOUT, KillReason.PROTOCOL_ERROR, KillReason.LIMIT, KillReason.COMMAND, None]
)
def test_a_job_that_failed_with_its_executor_tells_the_version_of_its_function(reason: KillReason | None) -> None:
    death = replace(CRASH, version="0123456789ab", kill=None if reason is None else Kill(3, reason))
    (failed,), _ = classify_death(HELD_JOBS, death)
    assert isinstance(failed, Failed)
    assert failed.version == "0123456789ab"


def test_a_kill_for_a_job_that_has_ended_is_blamed_on_none() -> None:
    death = replace(CRASH, exit_code=-9, begun=4, kill=Kill(3, KillReason.TIMEOUT))
    outcomes, released = classify_death({4: HELD_JOBS[4]}, death)
    assert (outcomes, [job.id for job in released]) == ([], ["b"])


@pytest.mark.parametrize(
    ("kill", "is_unexplained"),
    [
        (Kill(0, KillReason.STALLED), True),
        (Kill(0, KillReason.PROTOCOL_ERROR), True),
        (Kill(3, KillReason.PROTOCOL_ERROR), False),
        (Kill(0, KillReason.DRAINED), False),
    ],
)
def test_a_kill_that_no_job_is_to_blame_for_releases_all(kill: Kill, is_unexplained: bool) -> None:
    assert kill.is_unexplained is is_unexplained
    if kill.sequence == 0:
        outcomes, released = classify_death(HELD_JOBS, replace(CRASH, exit_code=-9, kill=kill))
        assert (outcomes, [job.id for job in released]) == ([], ["a", "b", "c"])


def _report(outcome: TaskOutcome, body: bytes | str, detail: object = None, function: str = "f") -> TaskReport:
    return TaskReport(sequence=1, outcome=outcome, function=function, seconds=0.5, body=body, detail=detail)


def _failed(reason: FailureReason, traceback: str, *, function: str = "f", final: bool = False) -> Failed:
    return Failed(JOB, function=function, seconds=0.5, reason=reason, traceback=traceback, final=final)


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        (
            _report(TaskOutcome.FINISHED, b"MQ=="),
            Finished(JOB, function="f", seconds=0.5, value=b"MQ==", has_execution_record=True),
        ),
        (_report(TaskOutcome.FAILED, "trace", False), _failed(FailureReason.EXCEPTION, "trace")),
        (_report(TaskOutcome.FAILED, "trace", True), _failed(FailureReason.EXCEPTION, "trace", final=True)),
        (_report(TaskOutcome.REJECTED, "why", function=""), _failed(FailureReason.REJECTED, "why", function="")),
        (
            _report(TaskOutcome.RETRY, b"v", [2, [1, 5], True]),
            Retried(JOB, function="f", seconds=0.5, max_retries=2, intervals=(1, 5), at_front=True, value=b"v"),
        ),
    ],
)
def test_a_report_becomes_an_outcome(report: TaskReport, outcome: object) -> None:
    assert classify_report(JOB, report, has_execution_record=True) == outcome


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit_code=0"), (3, "exit_code=3"), (-15, "signal=SIGTERM"), (-64, "signal=SIGRTMAX")]
)
def test_exit_codes_are_described(code: int, text: str) -> None:
    assert describe_exit(code) == text
