"""Sessions: they end with time, with their key's secret, and with the operator's keys; any manager takes them."""

from collections.abc import Iterable

import pytest

from manager.api_keys.caller import Caller
from manager.api_keys.record import SCOPES, new_key
from manager.api_keys.table import KeysUnknown, KeyTable
from manager.http.asgi import FIELDS, Scope
from manager.http.sessions import COOKIE, SESSION_SECONDS, Sessions
from manager.jwt.issuer import Issuer
from manager.settings import ManagerSettings

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


def issuer(url: str = "https://id.example", client: str = "dashboard") -> Issuer:
    found = Issuer.from_settings(ManagerSettings(oidc_issuer=url, oidc_audience="jobs", oidc_client_id=client))
    assert found is not None
    return found


def of_token(seconds: float, *queues: str) -> Caller:
    return Caller.of("sub:a.b@c", ["jobs:read"], queues, expires_at=NOW + seconds)


@pytest.mark.parametrize(("token", "session"), [(60, 3600), (7200, 7200), (90_000, SESSION_SECONDS)])
def test_a_session_of_a_token_allows_what_the_token_does_for_an_hour_at_least(token: float, session: float) -> None:
    clock = Clock()
    found = Sessions([(ONE, Caller.of("env-1", SCOPES))], KeyTable(), clock, issuer())
    text = found.begin_for_token(of_token(token, "reports-*"))
    assert text is not None
    caller = found.find(with_session(text))
    assert caller is not None
    assert (caller.key_id, caller.scopes, caller.queues) == ("sub:a.b@c", {"jobs:read"}, ("reports-*",))
    assert caller.sees("reports-a")
    assert not caller.sees("other")
    assert caller.expires_at == NOW + session  # Open pages end with it.
    clock.now += session - 1
    assert found.find(with_session(text)) is not None
    clock.now += 1
    assert found.find(with_session(text)) is None


def test_a_session_of_a_token_is_that_of_its_issuer_and_of_the_managers_keys() -> None:
    keys, clock = [(ONE, Caller.of("env-1", SCOPES))], Clock()
    text = Sessions(keys, KeyTable(), clock, issuer()).begin_for_token(of_token(60))
    assert text is not None
    assert Sessions(keys, KeyTable(), clock, issuer()).find(with_session(text)) is not None
    for other in (issuer("https://other.example"), issuer(client="other"), None):
        assert Sessions(keys, KeyTable(), clock, other).find(with_session(text)) is None
    others = [(OTHER, Caller.of("env-1", SCOPES))]
    assert Sessions(others, KeyTable(), clock, issuer()).find(with_session(text)) is None


def test_what_a_session_of_a_token_allows_cannot_be_changed() -> None:
    found = Sessions([(ONE, Caller.of("env-1", SCOPES))], KeyTable(), Clock(), issuer())
    text = found.begin_for_token(of_token(60))
    more = found.begin_for_token(Caller.of("sub:a.b@c", ["admin"], expires_at=NOW + 60))
    assert text is not None
    assert more is not None
    (_, end, signature), (allowed, _, _) = text.split("."), more.split(".")
    for changed in (f"{allowed}.{end}.{signature}", f"sub:.{end}.{signature}", f"sub:e.{end}.", text[:-1]):
        assert found.find(with_session(changed)) is None


def test_a_session_that_a_browser_would_not_keep_is_not_begun() -> None:
    found = Sessions([(ONE, Caller.of("env-1", SCOPES))], KeyTable(), Clock(), issuer())
    assert found.begin_for_token(of_token(60, *("x" * 64,) * 32)) is not None
    assert found.begin_for_token(of_token(60, *("x" * 200,) * 32)) is None
