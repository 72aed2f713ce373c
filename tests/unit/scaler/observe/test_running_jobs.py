"""What is told of running jobs by what workers say."""

from dataclasses import replace

import pytest

from jobqueue.inspection.counters import FunctionCounts
from jobqueue.workers.registry import WorkerView
from scaler.observe.running_jobs import OutstandingJobs, RunningJobAges, apportion

WORKER = WorkerView(
    name="w",
    hostname="h",
    pid=1,
    queues=("default",),
    state="busy",
    slots=2,
    running=1,
    finished=0,
    failed=0,
    fleet="",
    instance_id="",
    born_at=None,
    last_heartbeat=None,
    seconds_since_heartbeat=0.0,
    native=True,
)


def test_a_job_is_as_old_as_its_workers_counts() -> None:
    sightings = RunningJobAges()
    assert sightings.ages([WORKER], 100.0) == [0.0]
    assert sightings.ages([WORKER], 160.0) == [60.0]
    assert sightings.ages([replace(WORKER, finished=1)], 170.0) == [0.0]
    assert sightings.ages([replace(WORKER, finished=1, running=2)], 180.0) == [0.0, 0.0]
    assert sightings.ages([replace(WORKER, finished=1, running=0)], 190.0) == []


def test_outstanding_jobs_are_those_that_came_and_did_not_end() -> None:
    counts = FunctionCounts({"f": 10, "g": 3}, {"f": 4, "g": 3}, {"f": 1}, {"f": 1}, {})
    assert OutstandingJobs().by_function(counts, 4) == {"f": 4}


def test_canceled_jobs_are_forgotten_once_there_are_fewer_than_that() -> None:
    outstanding = OutstandingJobs()
    assert outstanding.by_function(FunctionCounts({"f": 10, "g": 3}), 13) == {"f": 10, "g": 3}
    assert outstanding.by_function(FunctionCounts({"f": 10, "g": 3}), 0) == {}
    assert outstanding.by_function(FunctionCounts({"f": 12, "g": 8}), 7) == {"f": 2, "g": 5}


def test_jobs_that_end_twice_do_not_hide_those_that_come() -> None:
    outstanding = OutstandingJobs()
    outstanding.by_function(FunctionCounts({"f": 3}, {"f": 2}, {"f": 3}), 0)
    assert outstanding.by_function(FunctionCounts({"f": 7}, {"f": 2}, {"f": 3}), 4) == {"f": 4}


@pytest.mark.parametrize(
    ("number", "weights", "shares"),
    [
        (0, {"f": 1}, {}),
        (7, {}, {"": 7}),
        (4, {"f": 3, "g": 1}, {"f": 3, "g": 1}),
        (10, {"f": 1, "g": 1, "h": 1}, {"f": 4, "g": 3, "h": 3}),
        (1, {"f": 1, "g": 9}, {"g": 1}),
    ],
)
def test_jobs_are_spread_in_proportion(number: int, weights: dict[str, int], shares: dict[str, int]) -> None:
    assert apportion(number, weights) == shares
