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
        ([(1, 0.005)] * 20, 4),
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
