"""The wait weight follows a wait target."""

import pytest

from scaler.learn.wait_weight import MAX_WAIT_WEIGHT, MIN_WAIT_WEIGHT, adjust_wait_weight


def test_weight_is_stable_if_one_second_in_twenty_is_late() -> None:
    weight = 1.0
    for second in range(10_000):
        weight = adjust_wait_weight(weight, late=second % 20 == 0, elapsed_seconds=1.0)
    assert weight == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("late", "elapsed_seconds", "bound"), [(True, 1e4, MAX_WAIT_WEIGHT), (False, 1e6, MIN_WAIT_WEIGHT)]
)
def test_weight_stays_within_its_bounds(late: bool, elapsed_seconds: float, bound: float) -> None:
    assert adjust_wait_weight(1.0, late=late, elapsed_seconds=elapsed_seconds) == bound
    assert 0.01 < bound < 100
