"""The figures of a simulated run."""

import pytest

from scaler.simulation.engine import SimulatedRun
from scaler.simulation.measures import clairvoyant_cost_seconds, demand_curve, measure
from scaler.simulation.trace import TracedJob


def _jobs(*times: tuple[float, float]) -> list[TracedJob]:
    return [TracedJob(at, seconds, "f") for at, seconds in times]


CLAIRVOYANT = {
    "one job: a boot and its work": (_jobs((0, 100)), 1, 190),
    "a short gap is kept": (_jobs((0, 100), (150, 100)), 1, 90 + 250),
    "a long gap is a launch": (_jobs((0, 100), (1000, 100)), 1, 90 + 100 + 90 + 100),
    "two levels boot twice": (_jobs((0, 100), (50, 100)), 1, 90 + 150 + 90 + 50),
    "two slots are one level": (_jobs((0, 100), (50, 100)), 2, 90 + 150),
    "the next job as one ends": (_jobs((0, 100), (100, 100)), 1, 90 + 200),
    "jobs that take no time cost nothing": (_jobs((0, 100), (20, 0)), 1, 190),
}


@pytest.mark.parametrize(("jobs", "slots", "seconds"), CLAIRVOYANT.values(), ids=CLAIRVOYANT.keys())
def test_c0_is_the_least_cost_without_waiting(jobs: list[TracedJob], slots: int, seconds: float) -> None:
    assert clairvoyant_cost_seconds(jobs, slots=slots, boot_seconds=90) == seconds


def test_a_launch_costs_a_minute_at_least() -> None:
    assert clairvoyant_cost_seconds(_jobs((0, 100)), slots=1, boot_seconds=10) == 160


def test_demand_counts_instances() -> None:
    assert demand_curve(_jobs((0, 10), (1, 10), (2, 10)), slots=2) == [
        (0, 1),
        (1, 1),
        (2, 2),
        (10, 1),
        (11, 1),
        (12, 0),
    ]


def test_the_figures_of_a_run() -> None:
    run = SimulatedRun(
        waits=[0.0, 0.0, 10.0, 90.0],
        paid_seconds=500.0,
        launches=3,
        peak=2,
        fleet=[(0.0, 1)],
        never_terminated=0,
        ended_at=1000.0,
    )
    jobs = _jobs((0, 50), (0, 50), (0, 50), (0, 50))
    result = measure("p", run, jobs, c0_seconds=400.0, slots=2, w=2.0, target_seconds=60.0)
    assert (result.paid_s, result.cost_per_work, result.cost_per_c0) == (500, 5, 1.25)
    assert (result.wait_mean_s, result.wait_p50_s, result.wait_p99_s) == (25, 10, 90)
    assert result.slo_missed == 0.25
    assert result.objective == (500 + 2 * 100) / 400
    assert (result.peak, result.launches) == (2, 3)
