"""Sessions: they end with time, with their key's secret, and with the operator's keys; any manager takes them."""

from collections.abc import Iterable

import pytest

from manager.api_keys.caller import Caller
from manager.api_keys.record import SCOPES, new_key
from manager.api_keys.table import KeysUnknown, KeyTable
from manager.http.asgi import FIELDS, Scope
from manager.http.sessions import COOKIE, SESSION_SECONDS, Sessions

NOW = 1_700_000_000.0
ONE, OTHER = b"a-key-of-the-environment", b"another-key-of-it"


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def sessions(keys: Iterable[bytes], table: KeyTable | None = None, clock: Clock | None = None) -> Sessions:
    callers = [(key, Caller.of(f"env-{number}", SCOPES)) for number, key in enumerate(keys, 1)]
    return Sessions(callers, table or KeyTable(), clock or Clock())


def begin(found: Sessions, key_id: str, key: bytes) -> str:
    return found.begin(Caller.of(key_id, SCOPES), key)


def request(cookies: str) -> Scope:
    return {FIELDS: {b"cookie": cookies.encode()}}


def with_session(session: str) -> Scope:
    return request(f"{COOKIE}={session}")


def test_a_session_ends_after_its_time() -> None:
    clock = Clock()
    found = sessions([ONE], clock=clock)
    scope = with_session(begin(found, "env-1", ONE))
    caller = found.find(scope)
    assert caller is not None
    assert caller.key_id == "env-1"
    clock.now += SESSION_SECONDS - 1
    assert found.find(scope) is not None
    clock.now += 1
    assert found.find(scope) is None


def test_every_manager_with_the_same_keys_takes_a_session_and_no_other_does() -> None:
    scope = with_session(begin(sessions([ONE, OTHER]), "env-1", ONE))
    assert sessions([ONE, OTHER]).find(scope) is not None
    assert sessions([ONE]).find(scope) is None
    assert sessions([ONE, b"a-third-key-of-it"]).find(scope) is None


def test_a_key_that_has_moved_to_another_place_does_not_make_a_session_anothers() -> None:
    scope = with_session(begin(sessions([ONE, OTHER]), "env-1", ONE))
    assert sessions([OTHER, ONE]).find(scope) is None


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        "other=1",
        *(f"{COOKIE}={text}" for text in ("", ".", "..", "env-1..x", "env-1.9e9.x", "env-1.²99.x", "x" * 10_000)),
    ],
)
def test_what_is_no_session_is_none(cookies: str) -> None:
    found = sessions([ONE])
    assert found.find(request(cookies)) is None
    # One that a program on another port of the machine has set does not hide it.
    assert found.find(request(f"{cookies}; {COOKIE}={begin(found, 'env-1', ONE)}; a=b")) is not None


def test_a_session_of_a_key_in_redis_ends_when_its_secret_does() -> None:
    table = KeyTable(lambda: 0.0)
    record, text = new_key(["jobs:read"], ["a"], "env-1", None, NOW)
    table.load([record], NOW, 0.0)
    found = sessions([ONE], table)
    scope = with_session(found.begin(Caller.of(record.id, record.scopes), text.encode()))
    caller = found.find(scope)
    assert caller is not None
    assert caller.queues == ("a",)
    rolled, _ = record.roll(60, NOW)
    table.load([rolled], NOW + 59, 1.0)
    assert found.find(scope) is not None
    table.load([rolled], NOW + 60, 2.0)
    assert found.find(scope) is None
    table.load([], NOW, 3.0)
    assert found.find(scope) is None


def test_that_keys_cannot_be_checked_is_told() -> None:
    found = sessions([ONE])
    with pytest.raises(KeysUnknown):
        found.find(with_session(begin(found, "3f2a9c01", ONE)))
