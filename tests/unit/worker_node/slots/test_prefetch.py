"""How many jobs a slot is given at a time."""

from __future__ import annotations

import pytest

from worker_node.slots.prefetch import BATCH_SECONDS, MAX_BATCH_SIZE, PrefetchController


def _paced(*observations: tuple[int, float]) -> PrefetchController:
    """What has seen batches of so many jobs alike that took so many seconds together."""
    pace = PrefetchController()
    for jobs, seconds in observations:
        pace.observe([seconds / jobs] * jobs)
    return pace


def _after(*observations: tuple[int, float]) -> int:
    return _paced(*observations).batch_size


@pytest.mark.parametrize(
    ("observations", "depth"),
    [
        ([], 1),
        ([(1, 0.00001)], 2),
        ([(1, 0.00001)] * 3, 8),
        ([(128, 0.001)] * 20, MAX_BATCH_SIZE),
        ([(1, 0.005)] * 20, 20),
        ([(1, 0.010)] * 20, 10),
        ([(1, 60.0)], 1),
        ([(1, 0.0)] * 10, MAX_BATCH_SIZE),
    ],
)
def test_the_depth_is_a_small_budget_of_time_and_grows_by_doubling(
    observations: list[tuple[int, float]], depth: int
) -> None:
    assert _after(*observations) == depth


def test_one_slow_job_after_many_fast_ones_brings_the_depth_down_at_once() -> None:
    fast = [(128, 0.001)] * 20
    assert _after(*fast) == MAX_BATCH_SIZE
    assert _after(*fast, (1, 4 * BATCH_SECONDS)) == 1
    assert _after(*fast, (1, 4 * BATCH_SECONDS), *[(1, 0.00001)] * 60) > 16


@pytest.mark.parametrize(
    ("held", "mean_seconds", "until"),
    [
        (20, 0.010, 100.1),
        (10, 0.010, 100.05),
        (4, 0.010, 100.02),
        (2, 0.018, 100.02),
        (1, 0.018, None),
        (20, 0.0001, None),
        (100, 0.0005, 100.03),
    ],
)
def test_reports_rest_for_two_thirds_of_the_work_at_most_and_end_on_a_grid(
    held: int, mean_seconds: float, until: float | None
) -> None:
    pace = _paced((1, mean_seconds))
    assert pace.batch_until(held, 200, 100.002) == (None if until is None else pytest.approx(until))


def test_jobs_that_became_short_are_not_kept_waiting_and_those_that_became_longer_are_believed_slowly() -> None:
    pace = PrefetchController()
    assert pace.batch_until(10, 200, 100.0) is None
    pace.observe([0.010])
    assert pace.batch_until(10, 200, 100.001) is not None
    pace.observe([0.00001] * 100)
    assert pace.batch_until(10, 200, 100.001) is None
    pace.observe([0.010])
    assert pace.batch_until(10, 200, 100.001) is None


def test_large_reports_do_not_gather() -> None:
    pace = _paced((1, 0.010))
    assert pace.batch_until(8, 16 * 1024, 100.001) is not None
    assert pace.batch_until(9, 16 * 1024, 100.001) is None


def test_the_shortest_of_the_jobs_reported_together_is_the_measure_of_a_rest() -> None:
    assert _paced((10, 0.100)).batch_until(10, 200, 100.001) is not None
    pace = PrefetchController()
    pace.observe([*[0.010] * 9, 0.00001])
    assert pace.batch_until(10, 200, 100.001) is None


@pytest.mark.parametrize(
    ("observations", "stock"),
    [([], 3), ([(1, 0.010)] * 20, 30), ([(1, 0.001)] * 20, 256), ([(128, 0.001)] * 20, 256), ([(1, 60.0)], 3)],
)
def test_a_busy_slot_is_filled_up_to_three_depths_within_what_it_bears(
    observations: list[tuple[int, float]], stock: int
) -> None:
    pace = _paced(*observations)
    assert pace.refill_level == stock
    assert not pace.prefetches or pace.max_held >= stock


@pytest.mark.parametrize(("seconds", "prefetches"), [(0.0001, True), (0.015, True), (0.025, False), (60.0, False)])
def test_jobs_wait_at_a_busy_slot_only_where_they_are_short(seconds: float, prefetches: bool) -> None:
    pace = PrefetchController()
    assert not pace.prefetches
    pace.observe([seconds])
    assert pace.prefetches is prefetches


def test_a_slot_bears_more_of_what_is_claimed_than_it_would_ask_for_but_not_long_ones() -> None:
    pace = _paced(*[(128, 0.001)] * 10, (10, 0.01))
    assert pace.max_held > pace.batch_size
    pace.observe([60.0])
    assert pace.max_held == 1
