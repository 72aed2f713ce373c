"""The way of claimed jobs that do not run: released, stopped, or dropped."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from jobqueue.claimed_job import ClaimedJob, RqCallback, RqCallbacks
from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.finish import Failed, Outcome, Stopped
from jobqueue.model import MAX_LOSSES, FailureReason
from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.jobs_in_hand import SUSPECTED_TEXT, JobsInHand
from worker_node.shard_loops.finisher import Finisher
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.recycling import RecyclingLimits

NOOP = b'["worker_node.functions.noop", null, [], {}]'


@dataclass
class FakeFinisher:
    """Keeps what it should record."""

    outcomes: list[Outcome] = field(default_factory=list)
    released: list[ClaimedJob] = field(default_factory=list)

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes.extend(outcomes)

    def release(self, jobs: Sequence[ClaimedJob]) -> None:
        self.released.extend(jobs)


@pytest.fixture
def finishers() -> list[FakeFinisher]:
    """The finishers of two shards."""
    return [FakeFinisher(), FakeFinisher()]


@pytest.fixture
def jobs(finishers: list[FakeFinisher]) -> JobsInHand:
    """A worker without slots: it can take no job."""
    return JobsInHand(
        cast(Any, ()),
        cast(list[Finisher], finishers),
        [],
        slots=0,
        executor=ExecutorOptions(functions=(), allow_pickle=False),
        limits=RecyclingLimits(max_jobs=1, max_growth_bytes=1),
        functions=FunctionRegistry.discover([]),
        keep_output="notable",
        on_capacity_freed=lambda: None,
        on_long_running=lambda shard_index: None,
    )


def test_jobs_that_no_slot_can_take_are_released_to_their_shard(
    jobs: JobsInHand, finishers: list[FakeFinisher]
) -> None:
    first, second = claimed_job(id="a", shard_index=0), claimed_job(id="b", shard_index=1)
    jobs.accept([first, second])
    assert [finisher.released for finisher in finishers] == [[first], [second]]


def test_jobs_that_arrive_during_a_drain_are_released(jobs: JobsInHand, finishers: list[FakeFinisher]) -> None:
    jobs.stop_accepting()
    jobs.accept([claimed_job()])
    assert finishers[0].released == [claimed_job()]


def test_a_job_cancelled_before_it_arrives_is_stopped_once(jobs: JobsInHand, finishers: list[FakeFinisher]) -> None:
    job = claimed_job(data=NOOP)
    jobs.cancel([job.id])
    jobs.accept([job])
    assert finishers[0].outcomes == [Stopped(job, function="noop", seconds=0.0)]
    jobs.accept([job])
    assert finishers[0].released == [job], "the same id may come again, requeued"


def test_a_job_whose_lease_is_lost_is_neither_released_nor_recorded(
    jobs: JobsInHand, finishers: list[FakeFinisher]
) -> None:
    job = claimed_job()
    jobs.lose_leases([job])
    jobs.accept([job])
    assert (finishers[0].outcomes, finishers[0].released) == ([], [])


def test_a_job_that_is_suspected_again_and_again_fails(jobs: JobsInHand, finishers: list[FakeFinisher]) -> None:
    job = claimed_job(data=NOOP)
    events = jobs.slot_events
    for _ in range(MAX_LOSSES - 1):
        events.suspected(job)
    assert (finishers[0].released, finishers[0].outcomes) == ([job] * (MAX_LOSSES - 1), [])
    events.suspected(job)
    assert finishers[0].outcomes == [Failed(job, "noop", 0.0, FailureReason.WORKER_LOST, SUSPECTED_TEXT)]
    events.suspected(job)
    assert len(finishers[0].released) == MAX_LOSSES, "requeued, it is a new job"


def _stopped_with_callback(**fields: Any) -> Stopped:
    callbacks = RqCallbacks(None, None, RqCallback("module.function", 5))
    return Stopped(claimed_job(data=NOOP, rq_callbacks=callbacks, **fields), "noop", 1.0)


def test_a_stopped_job_is_recorded_once_its_callback_was_called(
    jobs: JobsInHand, finishers: list[FakeFinisher]
) -> None:
    jobs.slot_events.ended([_stopped_with_callback()])
    (lease,) = jobs.leases(0)
    assert (lease.job.id, lease.job.stopped, lease.job.timeout_seconds) == ("a", True, 5)
    assert (finishers[0].outcomes, jobs.busy, jobs.all_recorded) == ([], True, False)
    # Redis goes on to say that it is cancelled.
    jobs.cancel(["a"])
    jobs.slot_events.released([lease.job])
    assert [update.job for update in jobs.leases(0)] == [lease.job] * 2
    jobs.slot_events.ended([Failed(lease.job, "noop", 2.0, FailureReason.TIMEOUT, "too long")])
    assert finishers[0].outcomes == [Stopped(lease.job, "noop", 2.0)]


def test_stopped_jobs_are_recorded_without_their_callbacks_when_the_worker_ends(
    jobs: JobsInHand, finishers: list[FakeFinisher]
) -> None:
    jobs.slot_events.ended([_stopped_with_callback()])
    (lease,) = jobs.leases(0)
    jobs.stop()
    assert finishers[0].outcomes == [Stopped(lease.job, "noop", 0.0)]
    jobs.slot_events.released([lease.job])
    assert (len(finishers[0].outcomes), finishers[0].released, jobs.busy) == (2, [], False)


def test_a_stopped_job_whose_lease_is_lost_is_forgotten(jobs: JobsInHand, finishers: list[FakeFinisher]) -> None:
    jobs.slot_events.ended([_stopped_with_callback(), _stopped_with_callback(id="b")])
    jobs.lose_leases([jobs.leases(0)[0].job])
    assert [update.job.id for update in jobs.leases(0)] == ["b"]
    assert finishers[0].outcomes == []
