"""The offline bound is below the least cost of all schedules, and near it. A schedule made in hindsight is above it."""

import itertools
import json
import random
import sys
from pathlib import Path

import pytest

from benchmarks.harness.offline_bound import offline_bound
from benchmarks.scaling_bound import cost_in_hindsight, main
from scaler.simulation.measures import clairvoyant_cost_seconds
from scaler.simulation.trace import TracedJob, write_trace

BOOT_SECONDS = 60.0
GRID_SECONDS = 10.0


def _least_cost(jobs: list[TracedJob], slots: int, w: float) -> float:
    """Try all starts. If all times are multiples of ten seconds, some best schedule starts each job at such a time."""
    first_at = jobs[0].submit_seconds + BOOT_SECONDS
    latest = int(2 * BOOT_SECONDS / (w * slots) / GRID_SECONDS)
    costs = []
    for delays in itertools.product(range(latest + 1), repeat=len(jobs)):
        starts = [
            max(job.submit_seconds, first_at) + delay * GRID_SECONDS for job, delay in zip(jobs, delays, strict=True)
        ]
        delayed = [TracedJob(at, job.service_seconds, "f") for at, job in zip(starts, jobs, strict=True)]
        waiting = sum(at - job.submit_seconds for at, job in zip(starts, jobs, strict=True))
        costs.append(w * waiting + clairvoyant_cost_seconds(delayed, slots=slots, boot_seconds=BOOT_SECONDS))
    return min(costs)


def _bound(jobs: list[TracedJob], slots: int = 1, w: float = 1.0, step_seconds: float = GRID_SECONDS) -> float:
    bound = offline_bound(jobs, slots=slots, boot_seconds=BOOT_SECONDS, w=w, step_seconds=step_seconds, gap=1e-6)
    assert bound.seconds <= bound.at_most_seconds + 1e-3
    assert bound.at_most_seconds <= bound.seconds * 1.0001
    return bound.seconds


@pytest.mark.parametrize(("slots", "w"), [(1, 1.0), (2, 0.5), (1, 2.0)])
@pytest.mark.parametrize("seed", range(3))
def test_no_schedule_costs_less(seed: int, slots: int, w: float) -> None:
    rng = random.Random(seed)
    times = sorted(rng.randrange(0, 200, 10) for _ in range(3))
    jobs = [TracedJob(float(at), float(rng.randrange(10, 200, 10)), "f") for at in times]
    least = _least_cost(jobs, slots, w)
    assert least <= cost_in_hindsight(jobs, slots=slots, boot_seconds=BOOT_SECONDS, w=w)
    for step_seconds in (GRID_SECONDS, 7.0):
        bound = _bound(jobs, slots, w, step_seconds)
        assert bound <= least + 1e-3
        # An instance of two slots can run a single job, but the programme lets it cost half.
        assert bound >= (0.8 if slots == 1 else 0.5) * least


def test_a_job_that_waits_for_another_one_is_known() -> None:
    """One instance runs both: a launch, both jobs, and the second one waits for the first."""
    jobs = [TracedJob(0.0, 20.0, "f"), TracedJob(0.0, 20.0, "f")]
    assert _bound(jobs) <= _least_cost(jobs, 1, 1.0) == 60 + 40 + 2 * 60 + 20
    assert cost_in_hindsight(jobs, slots=1, boot_seconds=BOOT_SECONDS, w=1.0) == 60 + 40 + 2 * 60 + 20


def test_long_jobs_that_cannot_wait_cost_what_they_cost() -> None:
    jobs = [TracedJob(0.0, 1000.0, "f"), TracedJob(500.0, 2000.0, "f")]
    assert _bound(jobs) == pytest.approx(2 * 60 + 3000 + 60, rel=1e-4)


def test_the_command_prints_our_regret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "arrivals.csv"
    write_trace(trace, [TracedJob(0.0, 300.0, "f"), TracedJob(3000.0, 300.0, "f")])
    monkeypatch.setattr(sys, "argv", ["scaling_bound", "--trace", str(trace)])
    main()
    result = json.loads(capsys.readouterr().out)
    assert result["trace"] == "arrivals.csv"
    assert result["bound"] <= result["schedule"] <= result["ours"]
    assert result["times_bound"] == pytest.approx(result["ours"] / result["bound"], rel=1e-3)
