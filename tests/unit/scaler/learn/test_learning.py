"""What is learned between decisions."""

import json
from dataclasses import replace

import pytest

from scaler.learn.learning import Estimators, QueueSnapshot, adjust_wait_weight
from tests.unit.scaler.observations import CLOUD

COUNTS = QueueSnapshot(
    now=0.0, queued={"f": 1}, running=[], ended={}, ended_seconds={}, oldest_seconds=0.0, ready=0, booting=0
)


def _learning(target: float | None = None) -> Estimators:
    return Estimators(CLOUD, boot_seconds=90.0, wait_target_seconds=target)


def test_boots_are_learned() -> None:
    learning = _learning()
    for _ in range(50):
        learning.observe_boot(30.0)
    assert learning.observe(COUNTS).boot_seconds == pytest.approx(30.0, abs=2)


def test_the_weight_is_the_operators_without_a_target() -> None:
    learning = _learning()
    for second in range(100):
        learning.observe(replace(COUNTS, now=float(second), oldest_seconds=1000.0))
    assert learning.limits == CLOUD


def test_the_weight_rises_while_a_target_is_missed_and_falls_while_it_is_kept() -> None:
    learning = _learning(target=10.0)
    for second in range(100):
        learning.observe(replace(COUNTS, now=float(second), oldest_seconds=11.0))
    missed = learning.limits.wait_weight
    assert missed > 5
    for second in range(100, 2000):
        learning.observe(replace(COUNTS, now=float(second), oldest_seconds=1.0))
    assert learning.limits.wait_weight < missed / 5


def test_the_weight_rests_where_one_second_in_twenty_is_late() -> None:
    weight = 1.0
    for second in range(10_000):
        weight = adjust_wait_weight(weight, late=second % 20 == 0, elapsed_seconds=1.0)
    assert weight == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("late", [True, False])
def test_the_weight_has_bounds(late: bool) -> None:
    assert 0.01 < adjust_wait_weight(1.0, late=late, elapsed_seconds=1e6 if not late else 1e4) < 100


def test_it_goes_on_where_another_stopped() -> None:
    first, second = _learning(target=10.0), _learning(target=10.0)
    first.observe_boot(30.0)
    for now in range(50):
        first.observe(
            replace(COUNTS, now=float(now), oldest_seconds=11.0, ended={"f": now}, ended_seconds={"f": 7.0 * now})
        )
    second.restore(json.loads(json.dumps(first.dump())))
    assert second.limits == first.limits
    known = replace(COUNTS, now=50.0, ended={"f": 49}, ended_seconds={"f": 7.0 * 49})
    assert second.observe(known).service_seconds == first.observe(known).service_seconds
    assert second.observe(known).boot_seconds == first.observe(known).boot_seconds


def test_what_cannot_be_read_changes_nothing() -> None:
    learning = _learning()
    before = learning.dump()
    with pytest.raises(KeyError):
        learning.restore({"service": before["service"]})
    assert learning.dump() == before
