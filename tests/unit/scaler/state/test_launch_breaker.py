"""What is refrained from after failures."""

import json

import pytest

from scaler.fleets.fleet import Cause
from scaler.state.launch_breaker import (
    FAILED_BOOTS_TO_OPEN,
    MAX_BACKOFF_SECONDS,
    POOL_COOLDOWN_SECONDS,
    PROBE_SECONDS,
    LaunchBreaker,
)


def test_what_is_short_is_avoided_for_a_while() -> None:
    caution = LaunchBreaker().after_failure(Cause.CAPACITY, "a", "none", 10.0, 1.0)
    caution = caution.after_failure(Cause.CAPACITY, "b", "none", 100.0, 1.0)
    assert caution.cooling_pools(10.0 + POOL_COOLDOWN_SECONDS - 1) == {"a", "b"}
    assert caution.cooling_pools(10.0 + POOL_COOLDOWN_SECONDS) == {"b"}
    assert caution.max_launches(0, 100.0) is None
    later = caution.after_failure(Cause.CAPACITY, "c", "none", 1000.0, 1.0)
    assert set(later.cooldowns) == {"c"}


@pytest.mark.parametrize("cause", [Cause.THROTTLED, Cause.UNKNOWN, Cause.REFUSED])
def test_failures_in_a_row_wait_longer_and_longer_up_to_a_limit(cause: Cause) -> None:
    caution, pauses = LaunchBreaker(), []
    for _ in range(12):
        caution = caution.after_failure(cause, "a", "why", 0.0, 1.0)
        pauses.append(caution.not_before)
        assert caution.max_launches(0, caution.not_before - 0.1) == 0
        assert caution.max_launches(0, caution.not_before) is None
    assert pauses == sorted(pauses)
    assert pauses[0] < 20.0
    assert pauses[-1] == MAX_BACKOFF_SECONDS
    assert caution.after_success().max_launches(0, 0.0) is None


def test_jitter_spreads_the_whole_pause_and_is_never_at_once() -> None:
    caution = LaunchBreaker(failures=6)
    pauses = [caution.after_failure(Cause.THROTTLED, "a", "", 0.0, jitter).not_before for jitter in (0.0, 0.5, 1.0)]
    assert pauses == [0.5, 32.0, 64.0]


def test_failed_boots_in_a_row_leave_single_probes() -> None:
    caution = LaunchBreaker().after_boots(0, FAILED_BOOTS_TO_OPEN - 1, 10.0)
    assert caution.max_launches(0, 10.0) is None
    caution = caution.after_boots(0, 1, 20.0)
    assert caution.is_open
    assert caution.max_launches(0, 20.0 + PROBE_SECONDS - 1) == 0
    assert caution.max_launches(0, 20.0 + PROBE_SECONDS) == 1
    assert caution.max_launches(1, 20.0 + PROBE_SECONDS) == 0
    worse = caution.after_boots(0, 1, 20.0)
    assert worse.max_launches(0, 20.0 + PROBE_SECONDS) == 0
    assert worse.max_launches(0, 20.0 + 2 * PROBE_SECONDS) == 1


def test_a_worker_that_comes_ends_it() -> None:
    caution = LaunchBreaker().after_boots(0, FAILED_BOOTS_TO_OPEN, 10.0)
    assert not caution.after_boots(1, 0, 20.0).is_open
    assert not caution.after_boots(1, FAILED_BOOTS_TO_OPEN, 20.0).is_open


def test_it_is_handed_on_as_json() -> None:
    caution = LaunchBreaker({"a": 5.0}, 2, 3.0, 4, 5.0, "why")
    assert LaunchBreaker.load(json.loads(json.dumps(caution.dump()))) == caution
    assert LaunchBreaker.load(None) == LaunchBreaker()
