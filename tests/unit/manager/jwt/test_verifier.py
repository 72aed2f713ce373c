"""A token is verified once a minute, not for each request; what ends it is noticed at once."""

from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet

from manager.jwt import verifier as module
from manager.jwt.errors import IssuerUnavailable, TokenRefused
from manager.jwt.issuer import Issuer
from manager.jwt.issuer_keys import IssuerKeys
from manager.jwt.verifier import MAX_REMEMBERED, MAX_TOKEN_BYTES, REMEMBER_SECONDS, JwtVerifier
from manager.settings import ManagerSettings
from tests.fake_clock import FakeClock
from tests.token_issuer import AUDIENCE, sign

URL = "https://id.example"


class Situation:
    """A verifier whose issuer, keys and clock the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.key = ECKey.generate_key("P-256", {"kid": "one"})
        self.served: KeySet | None = KeySet([self.key])
        self.asked = 0
        self.answers = False
        self.verified = 0
        situation = self

        class Keys(IssuerKeys):
            def current(self) -> KeySet | None:
                return situation.served

            def ask(self) -> bool:
                situation.asked += 1
                return situation.answers

        async def fetch() -> KeySet:
            raise IssuerUnavailable("nobody is asked here")

        issuer = Issuer.from_settings(ManagerSettings(oidc_issuer=URL, oidc_audience=AUDIENCE))
        assert issuer is not None
        self.verifier = JwtVerifier(issuer, Keys(fetch), self.clock)
        verify = module.verify

        def count(*arguments: Any) -> dict[str, Any]:
            self.verified += 1
            return verify(*arguments)

        monkeypatch.setattr(module, "verify", count)

    def token(self, kid: str | None = None, **claims: Any) -> bytes:
        return sign(self.key, URL, {"scope": "jobs:read"} | claims, kid=kid, now=self.clock()).encode()


@pytest.fixture
def situation(monkeypatch: pytest.MonkeyPatch) -> Situation:
    return Situation(monkeypatch)


def test_a_token_is_verified_once_a_minute(situation: Situation) -> None:
    token = situation.token()
    callers = [situation.verifier.find(token) for _ in range(100)]
    assert {(caller.key_id, caller.scopes) for caller in callers} == {("sub:alice", frozenset({"jobs:read"}))}
    assert situation.verified == 1
    situation.clock.advance(REMEMBER_SECONDS)
    situation.verifier.find(token)
    assert situation.verified == 2


def test_a_remembered_token_ends_at_its_expiry(situation: Situation) -> None:
    token = situation.token(exp=int(situation.clock()) + 10)
    situation.verifier.find(token)
    situation.clock.advance(39.9)
    situation.verifier.find(token)
    situation.clock.advance(0.1)
    with pytest.raises(TokenRefused, match="expired"):
        situation.verifier.find(token)


def test_a_remembered_token_ends_when_its_key_is_withdrawn(situation: Situation) -> None:
    token = situation.token()
    situation.verifier.find(token)
    situation.served = KeySet([ECKey.generate_key("P-256", {"kid": "two"}), ECKey.generate_key("P-256")])
    with pytest.raises(TokenRefused, match="kid"):
        situation.verifier.find(token)
    situation.served = None
    with pytest.raises(IssuerUnavailable):
        situation.verifier.find(token)


def test_no_token_that_is_refused_is_remembered_and_of_the_others_only_some(situation: Situation) -> None:
    remembered = situation.verifier._remembered
    for number in range(50):
        with pytest.raises(TokenRefused):
            situation.verifier.find(situation.token(aud=f"other-{number}"))
    assert remembered == {}
    caller = situation.verifier.find(situation.token())
    remembered |= {number.to_bytes(32, "big"): (caller, 0.0) for number in range(MAX_REMEMBERED - 1)}
    for number in range(10):
        situation.verifier.find(situation.token(sub=f"user-{number}"))
        assert len(remembered) == MAX_REMEMBERED


def test_a_huge_token_is_refused_before_it_is_read(situation: Situation) -> None:
    huge = situation.token(padding="x" * MAX_TOKEN_BYTES)
    with pytest.raises(TokenRefused, match="longer"):
        situation.verifier.find(huge)
    assert situation.verified == 0
    assert situation.verifier.find(situation.token(padding="x" * (MAX_TOKEN_BYTES // 2)))


def test_the_issuer_is_asked_for_unknown_keys_alone(situation: Situation) -> None:
    for refused in (situation.token(aud="other"), b"a.b.c", situation.token()[:-8] + b"AAAAAAAA"):
        with pytest.raises(TokenRefused):
            situation.verifier.find(refused)
    assert situation.asked == 0
    situation.served = KeySet([ECKey.generate_key("P-256", {"kid": "two"})])
    situation.answers = True
    with pytest.raises(IssuerUnavailable):
        situation.verifier.find(situation.token())
    situation.answers = False
    with pytest.raises(TokenRefused, match="kid"):
        situation.verifier.find(situation.token())
    assert situation.asked == 2
