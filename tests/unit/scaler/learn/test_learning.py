"""The estimators: what is learned from one snapshot to the next, and what the next leader gets."""

import json
from dataclasses import replace

import pytest

from scaler.learn.learning import Estimators, QueueSnapshot
from tests.unit.scaler.observations import CLOUD

SNAPSHOT = QueueSnapshot(
    now=0.0, queued={"f": 1}, running=[], ended={}, ended_seconds={}, served=0, oldest_seconds=0.0, ready=0, booting=0
)
TARGET_SECONDS = 10.0
LATE_SECONDS, EARLY_SECONDS = 11.0, 1.0
"""Age of the oldest job when the target is missed, and when it is met."""


def _estimators(target: float | None = None) -> Estimators:
    return Estimators(CLOUD, boot_seconds=90.0, wait_target_seconds=target)


def test_boot_time_follows_the_observed_boots() -> None:
    estimators = _estimators()
    for _ in range(50):
        estimators.observe_boot(30.0)
    assert estimators.observe(SNAPSHOT).boot_seconds == pytest.approx(30.0, abs=2)


def test_without_a_wait_target_the_weight_is_the_configured_one() -> None:
    estimators = _estimators()
    for second in range(100):
        estimators.observe(replace(SNAPSHOT, now=float(second), oldest_seconds=1000.0))
    assert estimators.limits == CLOUD


def test_weight_rises_while_the_target_is_missed_and_falls_while_it_is_met() -> None:
    estimators = _estimators(TARGET_SECONDS)
    for second in range(100):
        estimators.observe(replace(SNAPSHOT, now=float(second), oldest_seconds=LATE_SECONDS))
    weight_when_missed = estimators.limits.wait_weight
    assert weight_when_missed > 5
    for second in range(100, 2000):
        estimators.observe(replace(SNAPSHOT, now=float(second), oldest_seconds=EARLY_SECONDS))
    assert estimators.limits.wait_weight < weight_when_missed / 5


def test_the_next_leader_continues_with_the_same_estimates() -> None:
    first, second = _estimators(TARGET_SECONDS), _estimators(TARGET_SECONDS)
    first.observe_boot(30.0)
    for now in range(50):
        ended, seconds = {"f": now}, {"f": 7.0 * now}
        first.observe(
            replace(SNAPSHOT, now=float(now), oldest_seconds=LATE_SECONDS, ended=ended, ended_seconds=seconds)
        )
    second.restore(json.loads(json.dumps(first.dump())))
    assert second.limits == first.limits
    snapshot = replace(SNAPSHOT, now=50.0, ended={"f": 49}, ended_seconds={"f": 7.0 * 49})
    assert second.observe(snapshot).service_seconds == first.observe(snapshot).service_seconds
    assert second.observe(snapshot).boot_seconds == first.observe(snapshot).boot_seconds


def test_the_next_leader_expects_the_next_batch_also_after_one_that_knew_no_rhythms() -> None:
    first, second = _estimators(), _estimators()
    old_state = {name: part for name, part in first.dump().items() if name != "rhythms"}
    for batch in range(6):
        for seconds, queued in ((0.0, 0), (1.0, 5)):
            jobs = {"f": queued} if queued else {}
            first.observe(replace(SNAPSHOT, now=batch * 600.0 + seconds, queued=jobs, running=[]))
    second.restore(old_state)
    assert second.observe(replace(SNAPSHOT, now=3100.0)).batch is None
    second.restore(json.loads(json.dumps(first.dump())))
    expected = second.observe(replace(SNAPSHOT, now=3100.0)).batch
    assert expected is not None
    assert (expected.jobs, expected.in_seconds) == (5, 501.0)


def test_an_unreadable_state_changes_nothing() -> None:
    estimators = _estimators()
    before = estimators.dump()
    with pytest.raises(KeyError):
        estimators.restore({"service": before["service"]})
    assert estimators.dump() == before


def test_running_jobs_of_which_none_ends_are_expected_to_run_on() -> None:
    estimators = _estimators()
    fifty = [("f", 0.0)] * 50
    before = estimators.observe(replace(SNAPSHOT, running=fifty, ready=50)).survival(600.0)
    for second in range(1, 301):
        ages = [("f", float(second))] * 50
        estimates = estimators.observe(replace(SNAPSHOT, now=float(second), running=ages, ready=50))
    assert estimates.survival(600.0) > 2 * before
