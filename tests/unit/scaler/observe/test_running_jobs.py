"""Ages and functions of running jobs, from heartbeats and counters."""

from dataclasses import replace

import pytest

from jobqueue.inspection.counters import FunctionCounts
from scaler.observe.running_jobs import OutstandingJobs, RunningJobAges, apportion
from tests.unit.scaler.factories import busy

WORKER = busy("w")


def test_a_job_is_as_old_as_the_counts_of_its_worker() -> None:
    running = RunningJobAges()
    assert running.ages([WORKER], 100.0) == [0.0]
    assert running.ages([WORKER], 160.0) == [60.0]
    assert running.ages([replace(WORKER, finished=1)], 170.0) == [0.0]
    assert running.ages([replace(WORKER, finished=1, running=2)], 180.0) == [0.0, 0.0]
    assert running.ages([replace(WORKER, finished=1, running=0)], 190.0) == []


def test_outstanding_jobs_are_enqueued_less_ended_jobs() -> None:
    counts = FunctionCounts(enqueued={"f": 10, "g": 3}, finished={"f": 4, "g": 3}, failed={"f": 1}, stopped={"f": 1})
    assert OutstandingJobs().by_function(counts, 4) == {"f": 4}


def test_canceled_jobs_are_corrected_when_fewer_jobs_exist_than_counted() -> None:
    outstanding = OutstandingJobs()
    assert outstanding.by_function(FunctionCounts({"f": 10, "g": 3}), 13) == {"f": 10, "g": 3}
    assert outstanding.by_function(FunctionCounts({"f": 10, "g": 3}), 0) == {}
    assert outstanding.by_function(FunctionCounts({"f": 12, "g": 8}), 7) == {"f": 2, "g": 5}


def test_jobs_that_ended_twice_do_not_hide_new_ones() -> None:
    outstanding = OutstandingJobs()
    outstanding.by_function(FunctionCounts(enqueued={"f": 3}, finished={"f": 2}, failed={"f": 3}), 0)
    assert outstanding.by_function(FunctionCounts(enqueued={"f": 7}, finished={"f": 2}, failed={"f": 3}), 4) == {"f": 4}


@pytest.mark.parametrize(
    ("count", "weights", "shares"),
    [
        (0, {"f": 1}, {}),
        (7, {}, {"": 7}),
        (4, {"f": 3, "g": 1}, {"f": 3, "g": 1}),
        (10, {"f": 1, "g": 1, "h": 1}, {"f": 4, "g": 3, "h": 3}),
        (1, {"f": 1, "g": 9}, {"g": 1}),
    ],
)
def test_jobs_are_apportioned_by_weight(count: int, weights: dict[str, int], shares: dict[str, int]) -> None:
    assert apportion(count, weights) == shares
