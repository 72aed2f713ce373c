"""Service times, learned from counters."""

import json

import pytest

from scaler.learn.service_times import BIN_EDGES, ServiceTimes


def _learned(**functions: tuple[int, float]) -> ServiceTimes:
    times = ServiceTimes()
    times.observe({name: number for name, (number, _) in functions.items()}, {n: s for n, (_, s) in functions.items()})
    return times


def test_each_function_has_its_own_mean() -> None:
    times = _learned(quick=(1000, 1000.0), slow=(1000, 100_000.0))
    assert times.mean_seconds({"quick": 1}) == pytest.approx(1.0, rel=0.15)
    assert times.mean_seconds({"slow": 5}) == pytest.approx(100.0, rel=0.01)
    assert times.mean_seconds({"quick": 1, "slow": 1}) == pytest.approx(50.5, rel=0.01)


def test_an_unknown_function_gets_the_mean_of_the_others() -> None:
    times = _learned(known=(1000, 5000.0))
    assert times.mean_seconds({"new": 1}) == pytest.approx(5.0, rel=0.01)


def test_until_the_first_job_has_ended_jobs_are_taken_to_run_as_long_as_a_boot() -> None:
    assert ServiceTimes().mean_seconds({"f": 1}) == 90.0
    assert _learned(f=(1, 1.0)).mean_seconds({"f": 1}) < 20.0


def test_a_function_whose_jobs_still_run_does_not_seem_short() -> None:
    times = _learned(known=(1000, 1000.0))
    running = [("new", 600.0)] * 3
    assert times.mean_seconds({"new": 1}, running) > 600
    assert times.mean_seconds({"known": 1}, running) == pytest.approx(1.0, rel=0.05)


def test_only_the_growth_of_the_counters_counts() -> None:
    times = ServiceTimes()
    for _ in range(3):
        times.observe({"f": 10}, {"f": 100.0})
    times.observe({"f": 20}, {"f": 400.0})
    assert times.mean_seconds({"f": 1}) == pytest.approx(20.0, rel=0.05)


def test_recent_jobs_outweigh_old_ones() -> None:
    times = _learned(f=(1000, 1000.0))
    times.observe({"f": 21_000}, {"f": 1000.0 + 20_000 * 50.0})
    assert times.mean_seconds({"f": 1}) == pytest.approx(50.0, rel=0.1)


def test_survival_falls_with_age() -> None:
    times = _learned(quick=(900, 900.0), slow=(100, 100_000.0))
    curve = times.survival_curve
    assert curve[0] == 1.0
    assert list(curve) == sorted(curve, reverse=True)
    assert curve[-1] > 0
    after_a_minute = curve[next(index for index, edge in enumerate(BIN_EDGES) if edge > 60)]
    assert after_a_minute == pytest.approx(0.1, abs=0.02)


def test_restored_estimates_are_the_same() -> None:
    times = _learned(f=(10, 70.0), g=(1, 1.0))
    again = ServiceTimes.load(json.loads(json.dumps(times.dump())))
    assert again.survival_curve == times.survival_curve
    assert again.mean_seconds({"f": 1, "new": 2}) == pytest.approx(times.mean_seconds({"f": 1, "new": 2}))
    again.observe({"f": 10, "g": 1}, {"f": 70.0, "g": 1.0})
    assert again.survival_curve == times.survival_curve


@pytest.mark.parametrize(
    "state", [{}, {"ended": {}, "seconds": {}, "counted": {}, "bins": [1.0]}], ids=["empty", "bins"]
)
def test_load_rejects_an_invalid_state(state: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        ServiceTimes.load(state)
