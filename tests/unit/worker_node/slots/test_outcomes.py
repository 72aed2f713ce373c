"""What becomes of jobs when their executor dies or reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobqueue.lifecycle.finish import Failed, Finished, Retried, Stopped
from jobqueue.model import ClaimedJob, FailureReason
from worker_node.ipc.protocol import TaskOutcome, TaskReport
from worker_node.slots.outcomes import ExecutorDeath, KillReason, classify_death, classify_report, describe_exit
from worker_node.slots.recycling import ExecutorUsage, RecyclingLimits

JOB = ClaimedJob("a", "token", 0, "default", b"[]", 7, True, True, 0, 0, 1, None)
LEFT = {3: JOB, 4: replace(JOB, id="b"), 5: replace(JOB, id="c")}
CRASH = ExecutorDeath(exit_code=-11, running=3, function="f", seconds=1.5, killing=None)


def test_the_running_job_alone_is_to_blame_for_a_crash() -> None:
    ended, returned = classify_death(LEFT, CRASH)
    assert ended == [
        Failed(
            JOB, "f", 1.5, FailureReason.WORKER_LOST, "the executor process ended while it ran the job: signal=SIGSEGV"
        )
    ]
    assert [job.id for job in returned] == ["b", "c"]


@pytest.mark.parametrize("running", [0, 2])
def test_a_crash_between_jobs_is_nobodys_fault(running: int) -> None:
    ended, returned = classify_death(LEFT, replace(CRASH, running=running))
    assert (ended, [job.id for job in returned]) == ([], ["a", "b", "c"])


@pytest.mark.parametrize(
    ("why", "kind", "returned_ids"),
    [
        (KillReason.TIMEOUT, Failed, ["b", "c"]),
        (KillReason.PROTOCOL_ERROR, Failed, ["b", "c"]),
        (KillReason.CANCELLED, Stopped, ["b", "c"]),
        (KillReason.LEASE_LOST, None, ["b", "c"]),
        (KillReason.DRAINED, None, ["a", "b", "c"]),
    ],
)
def test_a_killed_job_is_what_it_was_killed_for(why: KillReason, kind: type | None, returned_ids: list[str]) -> None:
    ended, returned = classify_death(LEFT, replace(CRASH, exit_code=-9, killing=(3, why)))
    assert [type(outcome) for outcome in ended] == ([kind] if kind else [])
    assert [job.id for job in returned] == returned_ids


def test_a_kill_that_came_too_late_is_nobodys_fault() -> None:
    ended, returned = classify_death(
        {4: LEFT[4]}, replace(CRASH, exit_code=-9, running=4, killing=(3, KillReason.TIMEOUT))
    )
    assert (ended, [job.id for job in returned]) == ([], ["b"])


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        (TaskReport(1, TaskOutcome.FINISHED, "f", 0.5, b"MQ==", None), Finished(JOB, "f", 0.5, b"MQ==", True)),
        (
            TaskReport(1, TaskOutcome.FAILED, "f", 0.5, "trace", False),
            Failed(JOB, "f", 0.5, FailureReason.EXCEPTION, "trace"),
        ),
        (
            TaskReport(1, TaskOutcome.FAILED, "f", 0.5, "t", True),
            Failed(JOB, "f", 0.5, FailureReason.EXCEPTION, "t", final=True),
        ),
        (
            TaskReport(1, TaskOutcome.REJECTED, "", 0.5, "why", None),
            Failed(JOB, "", 0.5, FailureReason.REJECTED, "why"),
        ),
        (
            TaskReport(1, TaskOutcome.RETRY, "f", 0.5, b"v", [2, [1, 5], True]),
            Retried(JOB, "f", 0.5, 2, (1, 5), True, b"v"),
        ),
    ],
)
def test_a_report_becomes_an_outcome(report: TaskReport, outcome: object) -> None:
    assert classify_report(JOB, report, recorded=True) == outcome


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit_code=0"), (3, "exit_code=3"), (-15, "signal=SIGTERM"), (-64, "signal=SIGRTMAX")]
)
def test_exit_codes_are_described(code: int, text: str) -> None:
    assert describe_exit(code) == text


def test_an_executor_is_worn_out_by_jobs_or_by_growth() -> None:
    wear = ExecutorUsage(RecyclingLimits(max_jobs=2, max_growth_bytes=100), resident_bytes=1_000)
    assert not wear.exceeds_limits(1_100)
    assert wear.exceeds_limits(1_101)
    wear.jobs = 2
    assert wear.exceeds_limits(1_000)
