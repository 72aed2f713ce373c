"""The table of keys: a manager that has not read Redis for a while accepts no key from it."""

from dataclasses import replace

import pytest

from manager.api_keys.caller import Caller
from manager.api_keys.limits import KeyLimits
from manager.api_keys.record import new_key
from manager.api_keys.table import MAX_AGE_SECONDS, KeysUnknown, KeyTable
from tests.fake_clock import FakeClock

NOW = 1_800_000_000.0


def test_a_key_is_known_until_it_is_read_that_it_is_gone() -> None:
    clock = FakeClock()
    table = KeyTable(clock)
    record, text = new_key(["jobs:read"], ["a"], "env-1", None, NOW)
    table.load([record], NOW, clock())
    caller = table.find(text.encode())
    assert caller is not None
    assert (caller.key_id, caller.scopes, caller.queues) == (record.id, {"jobs:read"}, ("a",))
    assert table.find(text.encode() + b"x") is None
    assert table.find(b"wm_00000000_" + text.encode()[12:]) is None
    assert table.find(b"something else") is None
    table.load([], NOW, clock())
    assert table.find(text.encode()) is None


def test_expiry_counts_by_the_clock_of_redis() -> None:
    clock = FakeClock()
    table = KeyTable(clock)
    record, text = new_key(["jobs:read"], [], "env-1", 60.0, NOW)
    table.load([record], NOW + 59, clock())
    assert table.find(text.encode())
    table.load([record], NOW + 60, clock())
    assert table.find(text.encode()) is None


def test_keys_that_were_read_long_ago_are_neither_accepted_nor_called_wrong() -> None:
    clock = FakeClock()
    table = KeyTable(clock)
    record, text = new_key(["jobs:read"], [], "env-1", None, NOW)
    with pytest.raises(KeysUnknown):
        table.find(text.encode())
    table.load([record], NOW, clock())
    clock.advance(MAX_AGE_SECONDS)
    assert table.find(text.encode())
    clock.advance(0.1)
    with pytest.raises(KeysUnknown):
        table.find(text.encode())
    assert table.find(b"something else") is None
    table.load([record], NOW, clock())
    assert table.find(text.encode())


def test_the_key_of_a_waiting_request_ends_with_its_record_or_when_nobody_knows() -> None:
    clock = FakeClock()
    table = KeyTable(clock)
    record, text = new_key(["jobs:read"], [], "env-1", None, NOW)
    table.load([record], NOW, clock())
    caller = table.find(text.encode())
    assert caller is not None
    assert not table.has_ended(caller)
    clock.advance(MAX_AGE_SECONDS + 0.1)
    assert table.has_ended(caller)
    table.load([], NOW, clock())
    assert table.has_ended(caller)
    assert not table.has_ended(Caller.of("env-1", ["admin"]))


def test_a_key_keeps_what_it_has_used_of_its_limits_until_they_change() -> None:
    clock = FakeClock()
    table = KeyTable(clock)
    record, text = new_key(["jobs:read"], [], "env-1", None, NOW, KeyLimits(requests_per_second=1))

    def wait_seconds() -> float:
        caller = table.find(text.encode())
        assert caller is not None
        assert caller.limiter is not None
        return caller.limiter.take_request()

    table.load([record], NOW, clock())
    assert wait_seconds() == 0
    table.load([record], NOW, clock())
    assert wait_seconds() == 1
    table.load([replace(record, limits=KeyLimits(requests_per_second=2))], NOW, clock())
    assert [wait_seconds() for _ in range(3)] == [0, 0, 0.5]
    table.load([replace(record, limits=KeyLimits())], NOW, clock())
    caller = table.find(text.encode())
    assert caller is not None
    assert caller.limiter is None


def test_a_read_that_began_before_another_does_not_bring_a_revoked_key_back() -> None:
    clock = FakeClock()
    table = KeyTable(clock)
    record, text = new_key(["jobs:read"], [], "env-1", None, NOW)
    began_at = clock()
    clock.advance(1.0)
    table.load([], NOW, clock())
    table.load([record], NOW, began_at)
    assert table.find(text.encode()) is None
