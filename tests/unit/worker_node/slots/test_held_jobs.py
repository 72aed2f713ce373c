"""The order of the jobs that a slot holds, and since when each could run."""

import pytest

from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.slots.held_jobs import HeldJobs


@pytest.fixture
def held() -> HeldJobs:
    """Two batches of two jobs, assigned at 10 s and 20 s."""
    held = HeldJobs()
    held.assign([claimed_job(id="a"), claimed_job(id="b")], now=10.0)
    held.assign([claimed_job(id="c"), claimed_job(id="d")], now=20.0)
    return held


def test_tasks_are_numbered_across_batches_and_executors(held: HeldJobs) -> None:
    assert (list(held), held.due, held.last) == ([1, 2, 3, 4], 1, 4)
    assert [job.id for job in held.clear().values()] == ["a", "b", "c", "d"]
    assert (len(held), held.due) == (0, 5)
    (task,) = held.assign([claimed_job(id="e", isolated=True)], now=30.0)
    assert (task.sequence, task.job_id, task.isolated) == (5, "e", True)


def test_each_job_is_due_once_whether_it_is_held_or_not(held: HeldJobs) -> None:
    assert [job.id for job in held.remove([2, 4])] == ["b", "d"]
    assert [None if job is None else job.id for job in (held.take_due() for _ in range(4))] == ["a", None, "c", None]
    assert held.due == 5


def test_a_job_can_run_once_it_is_assigned_and_the_one_before_it_is_reported(held: HeldJobs) -> None:
    assert (held.due_since(), held.assigned_at(2), held.assigned_at(3)) == (10.0, 10.0, 20.0)
    held.take_due()
    held.note_reports(15.0)
    assert held.due_since() == 15.0
    held.take_due()
    held.note_reports(16.0)
    assert held.due_since() == 20.0
    held.clear()
    held.assign([claimed_job()], now=30.0)
    assert held.due_since() == 30.0
