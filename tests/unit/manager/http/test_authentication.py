"""Keys and tokens side by side: what a request gets that brings one, and when a waiting one is over."""

import subprocess
import sys
import time
from typing import Any

import pytest
from joserfc.jwk import ECKey, KeySet

from manager.api_keys.caller import Caller
from manager.api_keys.table import KeyTable
from manager.http.asgi import FIELDS, Scope
from manager.http.authentication import CALLER, ApiKeyAuth, caller_of, check_again
from manager.http.problems import Problem
from manager.jwt.issuer import Issuer
from manager.jwt.issuer_keys import IssuerKeys
from manager.jwt.verifier import JwtVerifier
from manager.settings import ManagerSettings
from tests.token_issuer import AUDIENCE, sign

URL = "https://id.example"
KEY = ECKey.generate_key("P-256", {"kid": "one"})
OPERATOR = "a.key.of-the-environment"


class Keys(IssuerKeys):
    """Keys that nobody fetches."""

    def __init__(self, keys: KeySet | None) -> None:
        self._keys = keys

    def current(self) -> KeySet | None:
        return self._keys

    def ask(self) -> bool:
        return False


def auth(keys: KeySet | None = KeySet([KEY])) -> ApiKeyAuth:  # noqa: B008 - never changed
    issuer = Issuer.from_settings(ManagerSettings(oidc_issuer=URL, oidc_audience=AUDIENCE))
    assert issuer is not None
    return ApiKeyAuth((OPERATOR,), KeyTable(), JwtVerifier(issuer, Keys(keys)))


def token(**claims: Any) -> str:
    return sign(KEY, URL, {"scope": "jobs:read"} | claims)


def request(text: str, method: str = "GET", path: str = "/jobs") -> Scope:
    return {"method": method, "path": path, FIELDS: {b"authorization": f"Bearer {text}".encode()}}


def refusal(checks: ApiKeyAuth, scope: Scope) -> Problem:
    with pytest.raises(Problem) as caught:
        checks.check(scope)
    assert CALLER not in scope or caught.value.status == 403
    return caught.value


def test_a_token_opens_what_its_scopes_allow() -> None:
    scope = request(token())
    auth().check(scope)
    assert caller_of(scope).key_id == "sub:alice"
    refused = refusal(auth(), request(token(), "PUT", "/enqueue"))
    assert refused.status == 403
    assert "token sub:alice lacks the scope jobs:write" in str(refused.detail)
    assert refusal(auth(), request(token(scope=None))).status == 403


def test_a_key_of_the_setting_with_two_dots_is_still_that_key() -> None:
    scope = request(OPERATOR)
    auth(None).check(scope)
    assert caller_of(scope).key_id == "env-1"


def test_a_wrong_token_is_401_and_one_that_nobody_can_check_503() -> None:
    for wrong in (token(aud="other"), token(exp=1), "a.b.c", token() + "x"):
        refused = refusal(auth(), request(wrong))
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"] == 'Bearer realm="workmanager", error="invalid_token"'
        assert wrong not in str(refused.detail)
    unknown = refusal(auth(None), request(token()))
    assert (unknown.status, unknown.headers["Retry-After"]) == (503, "1")
    assert unknown.problem_type.name == "issuer-unavailable"


def test_without_an_issuer_a_token_is_a_wrong_key() -> None:
    assert refusal(ApiKeyAuth((OPERATOR,), KeyTable()), request(token())).status == 401


def test_a_manager_without_an_issuer_starts_without_the_library_for_tokens() -> None:
    program = "import sys, manager.server; sys.exit('joserfc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_a_request_that_waits_is_over_with_its_token() -> None:
    table = KeyTable()
    check_again(table, {CALLER: Caller.of("sub:alice", ["jobs:read"], expires_at=time.time() + 60)})
    check_again(table, {CALLER: Caller.of("env-1", ["jobs:read"])})
    check_again(table, {})
    with pytest.raises(Problem, match="token sub:alice has ended"):
        check_again(table, {CALLER: Caller.of("sub:alice", ["jobs:read"], expires_at=time.time())})
