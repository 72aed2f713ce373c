"""How many jobs a slot holds, and how long its reports are batched."""

import pytest

from worker_node.slots.prefetch import (
    BATCH_SECONDS,
    MAX_BATCH_SIZE,
    MAX_HELD_JOBS,
    MAX_PREFETCHED_JOB_SECONDS,
    MAX_REPORT_WINDOW_SECONDS,
    PREFETCH_MULTIPLIER,
    PrefetchController,
)

SMALL_REPORT_BYTES = 200
BUFFER_BYTES = 1 << 20
NOOP_SECONDS = 0.00001
"""Run time of a job that does nothing."""

Observation = tuple[int, float]
"""Jobs that were reported together, and the run time of each."""


def _after(*observations: Observation) -> PrefetchController:
    prefetch = PrefetchController()
    for jobs, seconds in observations:
        prefetch.observe([seconds] * jobs)
    return prefetch


@pytest.mark.parametrize(
    ("observations", "batch_size"),
    [
        ([], 1),
        ([(1, NOOP_SECONDS)], 2),
        ([(1, NOOP_SECONDS)] * 3, 8),
        ([(128, NOOP_SECONDS)] * 20, MAX_BATCH_SIZE),
        ([(1, 0.005)] * 20, 20),
        ([(1, 0.010)] * 20, 10),
        ([(1, 60.0)], 1),
        ([(1, 0.0)] * 10, MAX_BATCH_SIZE),
    ],
)
def test_the_batch_size_is_100_ms_of_work_and_grows_by_doubling(
    observations: list[Observation], batch_size: int
) -> None:
    assert _after(*observations).batch_size == batch_size


def test_one_slow_job_after_many_fast_ones_shrinks_the_batch_at_once() -> None:
    fast = [(128, NOOP_SECONDS)] * 20
    slow = (1, 4 * BATCH_SECONDS)
    assert _after(*fast).batch_size == MAX_BATCH_SIZE
    assert _after(*fast, slow).batch_size == 1
    assert _after(*fast, slow, *[(1, NOOP_SECONDS)] * 60).batch_size > 16


@pytest.mark.parametrize(
    ("held_jobs", "job_seconds", "until"),
    [
        (20, 0.010, 100.05),
        (10, 0.010, 100.05),
        (4, 0.010, 100.02),
        (2, 0.018, 100.02),
        (1, 0.018, None),
        (5, 0.0001, None),
        (20, 0.0001, 100.003),
        (100, 0.0005, 100.03),
        (256, NOOP_SECONDS, 100.006),
    ],
)
def test_report_windows_last_two_thirds_of_the_work_and_end_on_a_grid(
    held_jobs: int, job_seconds: float, until: float | None
) -> None:
    prefetch = _after((1, job_seconds))
    expected = None if until is None else pytest.approx(until)
    assert prefetch.batch_until(held_jobs, SMALL_REPORT_BYTES, BUFFER_BYTES, now=100.002) == expected


def _batches_reports(prefetch: PrefetchController, held_jobs: int, report_bytes: float = SMALL_REPORT_BYTES) -> bool:
    return prefetch.batch_until(held_jobs, report_bytes, BUFFER_BYTES, now=100.001) is not None


def test_the_report_window_shrinks_at_once_and_grows_slowly() -> None:
    prefetch = PrefetchController()
    assert not _batches_reports(prefetch, held_jobs=10)
    prefetch.observe([0.010])
    assert _batches_reports(prefetch, held_jobs=10)
    prefetch.observe([NOOP_SECONDS] * 100)
    assert not _batches_reports(prefetch, held_jobs=10)
    prefetch.observe([0.010])
    until = prefetch.batch_until(10, SMALL_REPORT_BYTES, BUFFER_BYTES, now=100.001)
    assert until is None or until < 100.009, "not yet the 50 ms of before"


def test_reports_are_batched_only_if_the_executors_socket_can_hold_them() -> None:
    prefetch = _after((1, 0.010))
    assert _batches_reports(prefetch, MAX_HELD_JOBS, SMALL_REPORT_BYTES)
    assert _batches_reports(prefetch, 7, BUFFER_BYTES / 16)
    assert not _batches_reports(prefetch, 8, BUFFER_BYTES / 16)


def test_a_report_waits_for_at_most_60_ms() -> None:
    prefetch = _after((1, 0.010))
    for milliseconds in range(200):
        now = 100 + milliseconds / 1000
        until = prefetch.batch_until(MAX_HELD_JOBS, SMALL_REPORT_BYTES, BUFFER_BYTES, now)
        assert until is None or until <= now + MAX_REPORT_WINDOW_SECONDS


def test_the_report_window_follows_the_shortest_job_of_a_batch() -> None:
    assert _batches_reports(_after((10, 0.010)), held_jobs=10)
    prefetch = PrefetchController()
    prefetch.observe([*[0.010] * 9, NOOP_SECONDS])
    assert not _batches_reports(prefetch, held_jobs=10)


@pytest.mark.parametrize(
    ("observations", "refill_level"),
    [
        ([], PREFETCH_MULTIPLIER),
        ([(1, 0.010)] * 20, 10 * PREFETCH_MULTIPLIER),
        ([(1, 0.001)] * 20, MAX_HELD_JOBS),
        ([(128, NOOP_SECONDS)] * 20, MAX_HELD_JOBS),
        ([(1, 60.0)], PREFETCH_MULTIPLIER),
    ],
)
def test_a_busy_slot_is_refilled_to_three_batches_within_its_maximum(
    observations: list[Observation], refill_level: int
) -> None:
    prefetch = _after(*observations)
    assert prefetch.refill_level == refill_level
    assert not prefetch.prefetches or prefetch.max_held >= refill_level


@pytest.mark.parametrize(
    ("seconds", "prefetches"),
    [
        (0.0001, True),
        (MAX_PREFETCHED_JOB_SECONDS - 0.005, True),
        (MAX_PREFETCHED_JOB_SECONDS + 0.005, False),
        (60.0, False),
    ],
)
def test_only_short_jobs_are_prefetched(seconds: float, prefetches: bool) -> None:
    prefetch = PrefetchController()
    assert not prefetch.prefetches
    prefetch.observe([seconds])
    assert prefetch.prefetches is prefetches


def test_a_slot_accepts_more_short_claimed_jobs_than_it_asks_for_but_one_long_job() -> None:
    prefetch = _after(*[(128, NOOP_SECONDS)] * 10, (10, 0.001))
    assert prefetch.max_held > prefetch.batch_size
    prefetch.observe([60.0])
    assert prefetch.max_held == 1
