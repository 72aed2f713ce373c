"""Limits of a key: what a rate lets through, and what a stored record may hold."""

import json
from typing import Any

import pytest

from manager.api_keys.limits import KeyLimiter, KeyLimits
from manager.api_keys.record import KeyRecord, new_key
from tests.fake_clock import FakeClock


def test_a_rate_lets_a_seconds_worth_through_at_once_and_then_one_after_the_other() -> None:
    clock = FakeClock()
    limiter = KeyLimiter(KeyLimits(requests_per_second=4), clock)
    assert [limiter.take_request() for _ in range(6)] == [0, 0, 0, 0, 0.25, 0.25]
    clock.advance(0.25)
    assert [limiter.take_request() for _ in range(2)] == [0, 0.25]
    clock.advance(3600)
    assert [limiter.take_request() for _ in range(5)] == [0, 0, 0, 0, 0.25]


def test_a_rate_below_one_lets_one_through_at_a_time() -> None:
    clock = FakeClock()
    limiter = KeyLimiter(KeyLimits(jobs_per_second=0.5), clock)
    assert [limiter.take_job() for _ in range(2)] == [0, 2]
    clock.advance(1)
    assert limiter.take_job() == 1
    limiter.give_back_job()
    limiter.give_back_job()
    assert [limiter.take_job() for _ in range(2)] == [0, 2]


def test_requests_and_jobs_are_counted_apart_and_without_a_limit_not_at_all() -> None:
    limiter = KeyLimiter(KeyLimits(jobs_per_second=1), FakeClock())
    assert [limiter.take_request() for _ in range(3)] == [0, 0, 0]
    assert [limiter.take_job() for _ in range(2)] == [0, 1]
    assert limiter.payload_bytes(100) == 100
    assert KeyLimiter(KeyLimits(payload_bytes=50)).payload_bytes(100) == 50
    assert KeyLimiter(KeyLimits(payload_bytes=500)).payload_bytes(100) == 100


def test_limits_are_stored_with_the_key() -> None:
    limited, _ = new_key(["admin"], [], "env-1", None, 0.0, KeyLimits(requests_per_second=0.5, waiting_jobs=3))
    assert KeyRecord.from_json(limited.id, limited.to_json()) == limited
    free, _ = new_key(["admin"], [], "env-1", None, 0.0)
    assert "limits" not in free.to_json()


@pytest.mark.parametrize("limits", [{"others": 1}, {"waiting_jobs": "3"}, {"jobs_per_second": -1}, [1], None, 1e999])
def test_a_record_with_other_limits_is_none(limits: Any) -> None:
    record, _ = new_key(["admin"], [], "env-1", None, 0.0, KeyLimits(waiting_jobs=3))
    stored = json.loads(record.to_json())
    with pytest.raises(ValueError, match="cannot be read"):
        KeyRecord.from_json(record.id, json.dumps(stored | {"limits": limits}))
