"""Whether running jobs end as soon as past ones did."""

import pytest

from scaler.learn.release_rate import ReleaseRate


def _survival(age_seconds: float) -> float:
    """Half of the jobs run longer than a minute, a third longer than two."""
    return 60.0 / (60.0 + age_seconds)


def _observed(ended_by_second: dict[int, int], *, running: int, seconds: int) -> ReleaseRate:
    """Observe jobs that started together, every ten seconds."""
    rate = ReleaseRate()
    for second in range(0, seconds + 1, 10):
        ended = ended_by_second.get(second, 0)
        running -= ended
        rate.observe(float(second), ended, [float(second)] * running, _survival)
    return rate


def test_jobs_that_end_as_expected_change_nothing() -> None:
    as_expected = {second: round(100 * (_survival(second - 10) - _survival(second))) for second in range(10, 301, 10)}
    assert _observed(as_expected, running=100, seconds=300).factor == pytest.approx(1.0, abs=0.1)


def test_a_sample_of_many_running_jobs_stands_for_all() -> None:
    """Of 200 jobs that have run for ten minutes, three are expected to end in ten seconds."""
    rate = ReleaseRate()
    for second in range(0, 101, 10):
        rate.observe(float(second), 1, [600.0 + second] * 200, _survival)
    assert rate.factor == pytest.approx(0.6, abs=0.05)


def test_jobs_of_which_none_ends_are_expected_to_run_on() -> None:
    assert _observed({}, running=50, seconds=120).factor < 0.25


def test_a_single_job_that_runs_on_says_little() -> None:
    assert _observed({}, running=1, seconds=120).factor > 0.4


def test_the_factor_recovers_when_they_end() -> None:
    assert _observed({130: 10, 140: 10, 150: 10}, running=50, seconds=150).factor == 1.0


def test_without_running_jobs_and_when_the_clock_is_set_back_nothing_is_learned() -> None:
    rate = ReleaseRate()
    rate.observe(100.0, 0, [], _survival)
    rate.observe(1000.0, 5, [400.0] * 9, _survival)
    rate.observe(900.0, 0, [300.0] * 9, _survival)
    assert rate.factor == 1.0
