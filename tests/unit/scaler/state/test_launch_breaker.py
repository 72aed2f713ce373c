"""The launch breaker: cooldowns, smaller calls, backoff and single probes after failures."""

import json

import pytest

from scaler.fleets.fleet import Cause
from scaler.fleets.instances import LaunchRequest
from scaler.state.launch_breaker import (
    FAILED_BOOTS_TO_OPEN,
    FIRST_BACKOFF_SECONDS,
    MAX_BACKOFF_SECONDS,
    POOL_COOLDOWN_SECONDS,
    PROBE_SECONDS,
    LaunchBreaker,
)

NO_JITTER, FULL_JITTER = 0.0, 1.0


def _failed(breaker: LaunchBreaker, cause: Cause, *, now: float, pool: str = "a") -> LaunchBreaker:
    return breaker.after_failure(cause, pool, "description", now, FULL_JITTER)


def test_a_pool_without_capacity_cools_down() -> None:
    breaker = _failed(LaunchBreaker(), Cause.CAPACITY, pool="a", now=10.0)
    breaker = _failed(breaker, Cause.CAPACITY, pool="b", now=100.0)
    assert breaker.cooling_pools(10.0 + POOL_COOLDOWN_SECONDS - 1) == {"a", "b"}
    assert breaker.cooling_pools(10.0 + POOL_COOLDOWN_SECONDS) == {"b"}
    assert breaker.max_launches(booting=0, now=100.0) is None
    later = _failed(breaker, Cause.CAPACITY, pool="c", now=1000.0)
    assert set(later.cooldowns) == {"c"}


def _most(breaker: LaunchBreaker, pool: str = "a") -> int:
    """Return how many of ten wanted instances a pool is asked for."""
    return breaker.limited(LaunchRequest(10, pool)).count


def test_a_pool_that_refused_several_instances_is_asked_for_one_then_for_twice_as_many() -> None:
    breaker = LaunchBreaker().after_failure(Cause.CAPACITY, "a", "", 0.0, NO_JITTER, refused=10)
    most = [_most(breaker)]
    for _ in range(4):
        breaker = breaker.after_success("a", most[-1])
        most.append(_most(breaker))
    assert most == [1, 2, 4, 8, 10]
    assert _most(breaker.after_success("a", 10)) == 10
    assert _most(breaker.after_failure(Cause.CAPACITY, "a", "", 0.0, NO_JITTER, refused=10)) == 1


def test_a_pool_that_refused_several_instances_cools_down_only_if_it_refuses_one_too() -> None:
    breaker = LaunchBreaker(cooldowns={"b": 50.0})
    breaker = breaker.after_failure(Cause.CAPACITY, "a", "several", 10.0, NO_JITTER, refused=10)
    assert (breaker.cooling_pools(10.0), breaker.last_failure) == ({"b"}, "several")
    breaker = breaker.after_failure(Cause.CAPACITY, "a", "one", 11.0, NO_JITTER, refused=1)
    assert breaker.cooling_pools(11.0 + POOL_COOLDOWN_SECONDS - 1) == {"a"}
    assert _most(breaker) == 1


def test_after_an_unknown_token_the_next_launch_waits_unless_it_was_a_repetition() -> None:
    """A repetition has pauses of its own."""
    first = LaunchBreaker().after_failure(Cause.GONE, "a", "", 10.0, FULL_JITTER, refused=2)
    assert first.max_launches(booting=0, now=10.0) == 0
    assert first.cooling_pools(10.0) == set()
    assert LaunchBreaker().after_failure(Cause.GONE, "a", "", 10.0, FULL_JITTER) == LaunchBreaker()


def test_a_pool_that_launched_all_that_was_wanted_is_asked_for_any_number() -> None:
    breaker = LaunchBreaker(max_counts={"a": 2, "b": 4})
    assert _most(breaker.after_success("a", 1)) == 10
    assert _most(breaker.after_success("a", 1), "b") == 4


@pytest.mark.parametrize(("cause", "refused"), [(Cause.CAPACITY, 1), (Cause.CAPACITY, 0), (Cause.POOL_REFUSED, 10)])
def test_no_other_failure_limits_what_a_pool_is_asked_for(cause: Cause, refused: int) -> None:
    assert _most(LaunchBreaker().after_failure(cause, "a", "", 0.0, NO_JITTER, refused=refused)) == 10


@pytest.mark.parametrize("cause", [Cause.THROTTLED, Cause.UNKNOWN, Cause.REFUSED])
def test_consecutive_failures_back_off_exponentially_up_to_a_limit(cause: Cause) -> None:
    breaker, pauses = LaunchBreaker(), []
    for _ in range(12):
        breaker = _failed(breaker, cause, now=0.0)
        pauses.append(breaker.not_before)
        assert breaker.max_launches(booting=0, now=breaker.not_before - 0.1) == 0
        assert breaker.max_launches(booting=0, now=breaker.not_before) is None
    assert pauses == sorted(pauses)
    assert pauses[0] < 20.0
    assert pauses[-1] == MAX_BACKOFF_SECONDS
    assert breaker.after_success("a", 1).max_launches(booting=0, now=0.0) is None


def test_jitter_spreads_the_whole_backoff_and_never_retries_at_once() -> None:
    breaker = LaunchBreaker(failures=6)
    pauses = [
        breaker.after_failure(Cause.THROTTLED, "a", "", 0.0, jitter).not_before
        for jitter in (NO_JITTER, 0.5, FULL_JITTER)
    ]
    longest = FIRST_BACKOFF_SECONDS * 2**6
    assert pauses == [FIRST_BACKOFF_SECONDS / 2, longest / 2, longest]


def test_consecutive_failed_boots_open_the_breaker_for_single_probes() -> None:
    breaker = LaunchBreaker().after_boots(arrived=0, failed=FAILED_BOOTS_TO_OPEN - 1, now=10.0)
    assert breaker.max_launches(booting=0, now=10.0) is None
    breaker = breaker.after_boots(arrived=0, failed=1, now=20.0)
    assert breaker.is_open
    assert breaker.max_launches(booting=0, now=20.0 + PROBE_SECONDS - 1) == 0
    assert breaker.max_launches(booting=0, now=20.0 + PROBE_SECONDS) == 1
    assert breaker.max_launches(booting=1, now=20.0 + PROBE_SECONDS) == 0
    worse = breaker.after_boots(arrived=0, failed=1, now=20.0)
    assert worse.max_launches(booting=0, now=20.0 + PROBE_SECONDS) == 0
    assert worse.max_launches(booting=0, now=20.0 + 2 * PROBE_SECONDS) == 1


def test_a_registered_worker_closes_the_breaker() -> None:
    breaker = LaunchBreaker().after_boots(arrived=0, failed=FAILED_BOOTS_TO_OPEN, now=10.0)
    assert not breaker.after_boots(arrived=1, failed=0, now=20.0).is_open
    assert not breaker.after_boots(arrived=1, failed=FAILED_BOOTS_TO_OPEN, now=20.0).is_open


def test_the_next_leader_gets_the_same_breaker() -> None:
    breaker = LaunchBreaker(
        cooldowns={"a": 5.0},
        max_counts={"a": 2},
        failures=2,
        not_before=3.0,
        failed_boots=4,
        failed_at=5.0,
        last_failure="description",
    )
    assert LaunchBreaker.load(json.loads(json.dumps(breaker.dump()))) == breaker
    assert LaunchBreaker.load(None) == LaunchBreaker()


@pytest.mark.parametrize("max_counts", [{"a": 0}, {"a": "2"}, ["a"]])
def test_a_maximum_that_no_manager_has_stored_is_ignored(max_counts: object) -> None:
    assert LaunchBreaker.load({"max_counts": max_counts}) == LaunchBreaker()


def test_the_stored_names_belong_to_the_record_format() -> None:
    names = {"avoided", "max_counts", "failures", "not_before", "failed_boots", "failed_at", "why"}
    assert LaunchBreaker().dump().keys() == names
