"""The times of jobs that have ended: how many are counted, in which histograms, and what is sent again."""

import time
from collections.abc import Mapping
from unittest.mock import AsyncMock

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.finish import Finished
from jobqueue.lifecycle.times import HISTOGRAMS, Pair, Times
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import iso
from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.shard_loops import job_times
from worker_node.shard_loops.job_times import JobTimes

WAITING, SERVICE, END_TO_END = range(len(HISTOGRAMS))


def ended(number: int, *, seconds: float = 0.5, waited: float = 2.0, since: bytes | None = None) -> Finished:
    """A job that was enqueued before it waited and ran for so long, and has just ended."""
    enqueued_at = iso(time.time() - waited - seconds).encode()
    return Finished(
        claimed_job(id=f"job-{number}", since=enqueued_at if since is None else since), "noop", seconds, b""
    )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> AsyncMock:
    """What is written to Redis."""
    add = AsyncMock()
    monkeypatch.setattr(job_times, "add_times", add)
    return add


async def counted(times: JobTimes, sent: AsyncMock) -> Mapping[Pair, Times]:
    await times.send()
    written: Mapping[Pair, Times] = sent.await_args.args[1]
    return written


def new_times() -> JobTimes:
    shard: Shard = AsyncMock()
    return JobTimes(shard)


async def test_a_job_counts_in_the_buckets_of_its_times(sent: AsyncMock) -> None:
    times = new_times()
    times.note([ended(1)], (), ())
    counts = (await counted(times, sent))["default", "noop"]
    assert counts.buckets(WAITING) == [0, 0, 0, 1, 0, 0, 0, 0]
    assert counts.buckets(SERVICE) == [0, 0, 1, 0, 0, 0, 0, 0]
    assert counts.buckets(END_TO_END) == [0, 0, 0, 1, 0, 0, 0, 0]
    assert counts.total_seconds(SERVICE) == 0.5
    assert counts.total_seconds(WAITING) == pytest.approx(2.0, abs=0.2)
    assert counts.total_seconds(END_TO_END) == pytest.approx(2.5, abs=0.2)
    example = counts.examples[END_TO_END]
    assert example is not None
    assert example.job_id == "job-1"


@pytest.mark.parametrize("jobs", [1, 3, 4, 5, 7, 17, 512])
async def test_each_job_of_a_batch_counts_although_few_are_looked_at(jobs: int, sent: AsyncMock) -> None:
    times = new_times()
    times.note([ended(number) for number in range(jobs)], (), ())
    counts = (await counted(times, sent))["default", "noop"]
    assert [sum(counts.buckets(histogram)) for histogram in range(3)] == [jobs] * 3
    assert counts.total_seconds(SERVICE) == 0.5 * jobs


async def test_jobs_that_run_elsewhere_do_not_count_and_those_that_run_again_have_not_ended(sent: AsyncMock) -> None:
    times = new_times()
    times.note([ended(1), ended(2), ended(3)], ("job-1",), ("job-2",))
    counts = (await counted(times, sent))["default", "noop"]
    assert [sum(counts.buckets(histogram)) for histogram in range(3)] == [2, 2, 1]


async def test_a_job_that_has_run_before_has_taken_since_it_was_created(sent: AsyncMock) -> None:
    times, now = new_times(), time.time()
    times.note([ended(1, since=f"{iso(now - 2)} {iso(now - 100)}".encode())], (), ())
    counts = (await counted(times, sent))["default", "noop"]
    assert counts.total_seconds(WAITING) == pytest.approx(1.5, abs=0.2)
    assert counts.total_seconds(END_TO_END) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize("since", [b"", b"yesterday", b"\xff", b"9999-99-99T00:00:00Z"])
async def test_a_job_whose_record_does_not_say_when_it_was_enqueued_counts_as_run_only(
    since: bytes, sent: AsyncMock
) -> None:
    times = new_times()
    times.note([ended(1, since=since)], (), ())
    counts = (await counted(times, sent))["default", "noop"]
    assert [sum(counts.buckets(histogram)) for histogram in range(3)] == [0, 1, 0]


async def test_what_could_not_be_sent_is_sent_with_the_next(sent: AsyncMock) -> None:
    times = new_times()
    times.note([ended(1)], (), ())
    sent.side_effect = ShardUnavailable("away")
    with pytest.raises(ShardUnavailable):
        await times.send()
    sent.side_effect = None
    times.note([ended(2)], (), ())
    counts = (await counted(times, sent))["default", "noop"]
    assert sum(counts.buckets(SERVICE)) == 2
    sent.reset_mock()
    await times.send()
    sent.assert_not_awaited()
