"""How many jobs there would be had the fleet had another size."""

from collections.abc import Iterable

import pytest

from scaler.learn.counterfactual_fleets import FLEET_SIZES, CounterfactualFleets, DemandSample, Transition

BOOT_SECONDS = 90.0


def _moved(samples: Iterable[DemandSample], sizes: int = 12) -> CounterfactualFleets:
    shadows, last = None, None
    for sample in samples:
        if shadows is None or last is None:
            shadows = CounterfactualFleets(sample)
            shadows.track(sizes)
        else:
            shadows.advance(Transition.between(last, sample), sample, BOOT_SECONDS)
        last = sample
    assert shadows is not None
    return shadows


def _burst(ready: int, jobs: int, seconds: int, slots: int = 1) -> list[DemandSample]:
    """All come at once; each takes a second."""
    samples = []
    for second in range(seconds):
        left = max(0, jobs - ready * slots * second)
        samples.append(DemandSample(float(second), left, min(left, ready * slots), jobs - left, ready, 0, slots, 1.0))
    return samples


def test_a_smaller_fleet_is_left_with_more_jobs_a_larger_one_with_fewer() -> None:
    """After five seconds."""
    shadows = _moved(_burst(ready=4, jobs=40, seconds=6))
    assert shadows.jobs[:6] == pytest.approx([35, 30, 25, 20, 15, 10])


@pytest.mark.parametrize("slots", [1, 3])
def test_a_fleet_like_the_real_one_has_the_real_jobs(slots: int) -> None:
    for seconds in range(1, 12):
        samples = _burst(ready=4, jobs=30, seconds=seconds, slots=slots)
        assert _moved(samples).jobs[3] == pytest.approx(samples[-1].jobs)


def test_jobs_that_come_and_end_between_two_samples_are_served_by_one_slot_after_another() -> None:
    """A hundred of 5 ms in each second, none of which is ever seen."""
    samples = [DemandSample(float(second), 0, 0, 100 * second, 4, 0, 1, 0.005) for second in range(10)]
    assert _moved(samples).jobs == pytest.approx([0.0] * 12)


def test_what_is_left_in_a_smaller_fleet_is_served_when_the_real_one_has_nothing_more_to_do() -> None:
    samples = _burst(ready=8, jobs=40, seconds=80)
    assert max(_moved(samples[:6]).jobs) == pytest.approx(35)
    assert max(_moved(samples).jobs) < 0.5


def test_canceled_jobs_are_gone_from_every_fleet() -> None:
    before = DemandSample(0.0, 40, 4, 0, 4, 0, 1, 60.0)
    after = DemandSample(1.0, 0, 0, 0, 4, 0, 1, 60.0)
    assert max(_moved([before, after]).jobs[3:]) == 0


def test_no_more_wait_than_came_within_a_boot() -> None:
    """Ten a second come for half an hour; a fleet of one would have nearly all of them waiting. Then none comes."""
    samples = [DemandSample(float(second), 10, 10, 10 * second, 10, 0, 1, 1.0) for second in range(1800)]
    assert _moved(samples).jobs[0] == 1 + 10 * BOOT_SECONDS
    after = [DemandSample(1800.0 + second, 0, 0, 18_000, 10, 0, 1, 1.0) for second in range(90)]
    assert _moved([*samples, *after]).jobs[0] <= 1


def test_sizes_rise_and_reach_far() -> None:
    assert list(FLEET_SIZES) == sorted(set(FLEET_SIZES))
    assert FLEET_SIZES[0] == 1
    assert FLEET_SIZES[-1] > 15_000
