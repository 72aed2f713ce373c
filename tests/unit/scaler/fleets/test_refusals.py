"""How long a manager waits while the fleet refuses its calls, before it lets another one lead."""

import pytest

from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.refusals import FIRST_PATIENCE_SECONDS, MAX_PATIENCE_SECONDS, RefusedCalls

REFUSED = FleetError(Cause.REFUSED, "UnauthorizedOperation", "")
SECONDS = FIRST_PATIENCE_SECONDS


def _refused(calls: RefusedCalls, kind: str, *times: float) -> float | None:
    for now in times:
        calls.note(kind, REFUSED, now)
    return calls.overdue_seconds()


def test_refusals_that_last_are_overdue() -> None:
    calls = RefusedCalls()
    assert _refused(calls, "launch", 0.0, SECONDS - 1) is None
    assert _refused(calls, "launch", SECONDS + 5) == SECONDS + 5


def test_calls_of_another_kind_that_succeed_do_not_count() -> None:
    calls = RefusedCalls()
    _refused(calls, "launch", 0.0)
    calls.note("describe", None, 1.0)
    assert _refused(calls, "launch", SECONDS) == SECONDS
    calls.note("launch", None, SECONDS)
    assert calls.overdue_seconds() is None


@pytest.mark.parametrize("cause", [Cause.CAPACITY, Cause.POOL_REFUSED, Cause.TOKEN_EXPIRED, Cause.GONE])
def test_a_failure_of_a_call_that_is_allowed_ends_the_refusals(cause: Cause) -> None:
    calls = RefusedCalls()
    _refused(calls, "launch", 0.0)
    calls.note("launch", FleetError(cause, "", ""), 1.0)
    assert _refused(calls, "launch", SECONDS) is None


@pytest.mark.parametrize("cause", [Cause.UNKNOWN, Cause.THROTTLED])
def test_a_failure_that_says_nothing_of_rights_does_not_end_them(cause: Cause) -> None:
    calls = RefusedCalls()
    _refused(calls, "launch", 0.0)
    calls.note("launch", FleetError(cause, "", ""), 1.0)
    assert _refused(calls, "launch", SECONDS) == SECONDS


def test_each_time_it_takes_twice_as_long_until_a_call_succeeds() -> None:
    calls, now, waited = RefusedCalls(), 0.0, []
    for _ in range(8):
        begun_at = now
        while _refused(calls, "launch", now) is None:
            calls.note("describe", None, now)
            now += 10.0
        waited.append(now - begun_at)
        calls.start_over()
    assert waited == [min(MAX_PATIENCE_SECONDS, SECONDS * 2**number) for number in range(8)]
    calls.note("launch", None, now)
    assert _refused(calls, "launch", now, now + SECONDS) == SECONDS
