"""How many jobs a slot is given at a time."""

from __future__ import annotations

import pytest

from worker_node.pace import BUDGET_SECONDS, MAX_DEPTH, Pace


def _after(*observations: tuple[int, float]) -> int:
    pace = Pace()
    for jobs, seconds in observations:
        pace.observe(jobs, seconds)
    return pace.depth


@pytest.mark.parametrize(
    ("observations", "depth"),
    [
        ([], 1),
        ([(1, 0.00001)], 2),
        ([(1, 0.00001)] * 3, 8),
        ([(128, 0.001)] * 20, MAX_DEPTH),
        ([(1, 0.005)] * 20, 20),
        ([(1, 0.010)] * 20, 10),
        ([(1, 60.0)], 1),
        ([(1, 0.0)] * 10, MAX_DEPTH),
    ],
)
def test_the_depth_is_a_small_budget_of_time_and_grows_by_doubling(
    observations: list[tuple[int, float]], depth: int
) -> None:
    assert _after(*observations) == depth


def test_one_slow_job_after_many_fast_ones_brings_the_depth_down_at_once() -> None:
    fast = [(128, 0.001)] * 20
    assert _after(*fast) == MAX_DEPTH
    assert _after(*fast, (1, 4 * BUDGET_SECONDS)) == 1
    assert _after(*fast, (1, 4 * BUDGET_SECONDS), *[(1, 0.00001)] * 60) > 16


@pytest.mark.parametrize(
    ("held", "mean_seconds", "until"),
    [
        (10, 0.010, 100.05),
        (4, 0.010, 100.02),
        (2, 0.018, 100.01),
        (1, 0.018, None),
        (20, 0.0001, None),
        (100, 0.0005, 100.02),
    ],
)
def test_reports_rest_for_half_of_the_work_at_most_and_end_on_a_grid(
    held: int, mean_seconds: float, until: float | None
) -> None:
    pace = Pace()
    pace.observe(1, mean_seconds)
    assert pace.rest_until(held, 100.002) == (None if until is None else pytest.approx(until))


def test_jobs_that_became_short_are_not_kept_waiting_and_those_that_became_longer_are_believed_slowly() -> None:
    pace = Pace()
    assert pace.rest_until(10, 100.0) is None
    pace.observe(1, 0.010)
    assert pace.rest_until(10, 100.001) is not None
    pace.observe(100, 0.001)
    assert pace.rest_until(10, 100.001) is None
    pace.observe(1, 0.010)
    assert pace.rest_until(10, 100.001) is None


@pytest.mark.parametrize(("seconds", "prefetches"), [(0.0001, True), (0.015, True), (0.025, False), (60.0, False)])
def test_jobs_wait_at_a_busy_slot_only_where_they_are_short(seconds: float, prefetches: bool) -> None:
    pace = Pace()
    assert not pace.prefetches
    pace.observe(1, seconds)
    assert pace.prefetches is prefetches


def test_a_slot_bears_more_of_what_is_claimed_than_it_would_ask_for_but_not_long_ones() -> None:
    pace = Pace()
    for _ in range(10):
        pace.observe(128, 0.001)
    pace.observe(10, 0.01)
    assert pace.bearable > pace.depth
    pace.observe(1, 60.0)
    assert pace.bearable == 1
