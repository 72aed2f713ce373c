"""How many jobs there would be if the fleet had another size."""

from collections.abc import Iterable

import pytest

from scaler.learn.counterfactual_fleets import FLEET_SIZES, CounterfactualFleets, DemandSample, Transition

BOOT_SECONDS = 90.0
READY = 4
"""Workers of the real fleet, unless a test says otherwise."""


def _sample(
    second: float,
    *,
    jobs: int,
    ended: int,
    ready: int = READY,
    slots: int = 1,
    service_seconds: float = 1.0,
) -> DemandSample:
    """A sample in which as many jobs run as there are slots."""
    running = min(jobs, ready * slots)
    return DemandSample(second, jobs, running, ended, 0, ready, 0, slots, service_seconds)


def _advanced(samples: Iterable[DemandSample], sizes: int = 12) -> CounterfactualFleets:
    fleets, last = None, None
    for sample in samples:
        if fleets is None or last is None:
            fleets = CounterfactualFleets(sample)
            fleets.track(sizes)
        else:
            fleets.advance(Transition.between(last, sample), sample, BOOT_SECONDS)
        last = sample
    assert fleets is not None
    return fleets


def _burst(*, jobs: int, seconds: int, ready: int = READY, slots: int = 1) -> list[DemandSample]:
    """All jobs arrive at once; each takes one second."""
    samples = []
    for second in range(seconds):
        left = max(0, jobs - ready * slots * second)
        samples.append(_sample(float(second), jobs=left, ended=jobs - left, ready=ready, slots=slots))
    return samples


def test_a_smaller_fleet_has_more_jobs_left_and_a_larger_one_fewer() -> None:
    after_five_seconds = _advanced(_burst(jobs=40, seconds=6))
    assert after_five_seconds.jobs[:6] == pytest.approx([35, 30, 25, 20, 15, 10])


@pytest.mark.parametrize("slots", [1, 3])
def test_a_fleet_of_the_real_size_has_the_real_jobs(slots: int) -> None:
    for seconds in range(1, 12):
        samples = _burst(jobs=30, seconds=seconds, slots=slots)
        assert _advanced(samples).jobs[READY - 1] == pytest.approx(samples[-1].jobs)


def test_one_slot_serves_short_jobs_that_no_sample_sees() -> None:
    """A hundred jobs of 5 ms arrive and end in every second."""
    samples = [_sample(float(second), jobs=0, ended=100 * second, service_seconds=0.005) for second in range(10)]
    assert _advanced(samples).jobs == pytest.approx([0.0] * 12)


def test_a_smaller_fleet_finishes_its_backlog_while_the_real_one_is_idle() -> None:
    samples = _burst(ready=8, jobs=40, seconds=80)
    assert max(_advanced(samples[:6]).jobs) == pytest.approx(35)
    assert max(_advanced(samples).jobs) < 0.5


def test_canceled_jobs_are_gone_from_every_fleet() -> None:
    before = _sample(0.0, jobs=40, ended=0, service_seconds=60.0)
    after = _sample(1.0, jobs=0, ended=0, service_seconds=60.0)
    assert max(_advanced([before, after]).jobs[READY - 1 :]) == 0


def test_no_fleet_has_more_jobs_waiting_than_arrive_within_a_boot() -> None:
    """Ten jobs arrive every second for half an hour. A fleet of one worker would serve one of them."""
    samples = [_sample(float(second), jobs=10, ended=10 * second, ready=10) for second in range(1800)]
    assert _advanced(samples).jobs[0] == 1 + 10 * BOOT_SECONDS
    without_arrivals = [_sample(1800.0 + second, jobs=0, ended=18_000, ready=10) for second in range(90)]
    assert _advanced([*samples, *without_arrivals]).jobs[0] <= 1


def test_sizes_ascend_and_reach_large_fleets() -> None:
    assert list(FLEET_SIZES) == sorted(set(FLEET_SIZES))
    assert FLEET_SIZES[0] == 1
    assert FLEET_SIZES[-1] > 15_000
