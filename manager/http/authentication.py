"""Authentication by API keys and tokens (JWTs): who sends a request, and whether they may."""

import hmac
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from jobqueue.audit import Author
from manager.api_keys.caller import NOBODY_IN_PARTICULAR, Caller
from manager.api_keys.record import SCOPES
from manager.api_keys.table import KeysUnknown, KeyTable
from manager.http.asgi import FIELDS, Scope, header
from manager.http.dashboard_paths import PUBLIC_DASHBOARD_PATHS, SIGN_IN, is_dashboard_path, wants_page
from manager.http.key_limits import check_request_rate
from manager.http.page_origin import check_own_page
from manager.http.permissions import check_permission
from manager.http.problems import ISSUER_UNAVAILABLE, SIGN_IN_FIRST, UNAUTHORIZED, UNAVAILABLE, Problem
from manager.http.request_origin import PROXIES, REQUEST_ID
from manager.http.sessions import Sessions
from manager.jwt.errors import IssuerUnavailable, TokenRefused
from manager.jwt.issuer import Issuer

if TYPE_CHECKING:
    # Managers without an issuer start without joserfc.
    from manager.jwt.verifier import JwtVerifier

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
"""Paths for load balancers."""
DOCS_PATHS = frozenset({"/docs", "/docs/page.js", "/docs/swagger-ui.js", "/docs/swagger-ui.css"})
"""The page that shows the API. A browser opens a page without a key; this one asks for it."""
PUBLIC_PATHS = HEALTH_PATHS | DOCS_PATHS | PUBLIC_DASHBOARD_PATHS
"""Paths that need no key."""

CALLER = "workmanager.caller"
"""Key of the scope: the `Caller`; missing if no key was asked for."""


class ApiKeyAuth:
    """The keys of the setting, each with all scopes, those in Redis, and tokens of an issuer.

    Without the setting of keys, every request is allowed.

    Args:
        keys: those of `WORKMANAGER_API_KEYS`.
        table: the keys in Redis.
        jwt: verifies tokens; None if there is no issuer.
        issuer: who signs people in; None if nobody does.
    """

    def __init__(
        self,
        keys: Iterable[str],
        table: KeyTable,
        jwt: "JwtVerifier | None" = None,
        issuer: Issuer | None = None,
    ) -> None:
        self._keys = tuple(key.encode() for key in keys)
        self._callers = [Caller.of(f"env-{number}", SCOPES) for number, _ in enumerate(self._keys, 1)]
        self._table = table
        self._jwt = jwt
        self._sessions = Sessions(zip(self._keys, self._callers, strict=True), table, issuer=issuer)

    @property
    def asks_for_keys(self) -> bool:
        """Whether requests need a key."""
        return bool(self._keys)

    def check(self, scope: Scope) -> None:
        """Note the caller in the scope, unless no key is needed.

        Raises:
            Problem: 401, the request needs a key and has no valid one; 403, the key does not allow it; 429, it has
                sent too many; 503, the key cannot be checked now.
        """
        if not self._keys or scope["path"] in PUBLIC_PATHS:
            return
        given = header(scope, b"authorization") or b""
        scheme, _, token = given.partition(b" ")
        token = token.strip()
        # All keys are compared in constant time, even after a match, so that the duration reveals nothing.
        matches = [hmac.compare_digest(token, key) for key in self._keys]
        if scheme.lower() != b"bearer":
            if given or not is_dashboard_path(scope["path"]):
                raise _unauthorized(given)
            self._check_session(scope)
            return
        if True in matches:
            scope[CALLER] = self._callers[matches.index(True)]
            return
        caller = self._find(token)
        if caller is None:
            raise _unauthorized(given)
        scope[CALLER] = caller
        check_request_rate(caller)
        check_permission(caller, scope["method"], scope["path"])

    def begin_session(self, key: bytes) -> str | None:
        """Return the cookie's value of a session for whom an API key belongs to; None if it is not valid.

        Raises:
            Problem: 503, the key cannot be checked now.
        """
        matches = [hmac.compare_digest(key, each) for each in self._keys]
        caller = self._callers[matches.index(True)] if True in matches else self._find_key(key)
        return None if caller is None else self._sessions.begin(caller, key)

    def begin_token_session(self, caller: Caller) -> str | None:
        """Return the cookie's value of a session for whom the issuer has signed in; None if it would be too long."""
        return self._sessions.begin_for_token(caller)

    def _check_session(self, scope: Scope) -> None:
        """Note whom the session of a request to the dashboard belongs to.

        Raises:
            Problem: as `check`; 303, a person must sign in first.
        """
        try:
            caller = self._sessions.find(scope)
        except KeysUnknown as error:
            raise _keys_unknown() from error
        if caller is None:
            raise _sign_in_first(scope) if wants_page(scope) and scope["method"] == "GET" else _unauthorized(b"")
        if scope["method"] not in ("GET", "HEAD"):
            check_own_page(scope[FIELDS])
        scope[CALLER] = caller
        check_request_rate(caller)
        check_permission(caller, scope["method"], scope["path"])

    def _find(self, token: bytes) -> Caller | None:
        # Keys in Redis have no dots; a token has three parts.
        if self._jwt is not None and token.count(b".") == 2:
            return _verify(self._jwt, token)
        return self._find_key(token)

    def _find_key(self, key: bytes) -> Caller | None:
        try:
            return self._table.find(key)
        except KeysUnknown as error:
            raise _keys_unknown() from error


def caller_of(scope: Scope) -> Caller:
    """Return who sent the request."""
    caller: Caller = scope.get(CALLER, NOBODY_IN_PARTICULAR)
    return caller


def author_of(scope: Scope) -> Author:
    """Return who is noted as the author of what the request changes."""
    actor = caller_of(scope).key_id or "none"
    return Author(actor, scope[PROXIES].client_of(scope), scope[REQUEST_ID].decode())


def check_again(table: KeyTable, scope: Scope) -> None:
    """Check the key or token of a request that has been waiting once more, before it is given anything.

    Raises:
        Problem: 401, it has been revoked or has expired, or that it has not cannot be told.
    """
    caller: Caller | None = scope.get(CALLER)
    if caller is not None and (table.has_ended(caller) or caller.is_expired(time.time())):
        headers = {"WWW-Authenticate": 'Bearer realm="workmanager"'}
        raise Problem(UNAUTHORIZED, f"{caller.name} has ended while the request was waiting", headers=headers)


def _verify(jwt: "JwtVerifier", token: bytes) -> Caller:
    try:
        return jwt.find(token)
    except TokenRefused as error:
        headers = {"WWW-Authenticate": 'Bearer realm="workmanager", error="invalid_token"'}
        raise Problem(UNAUTHORIZED, f"the token is not accepted: {error}", headers=headers) from error
    except IssuerUnavailable as error:
        detail = f"the token cannot be checked at the moment: {error}"
        raise Problem(ISSUER_UNAVAILABLE, detail, headers={"Retry-After": "1"}) from error


def _keys_unknown() -> Problem:
    detail = "the API key cannot be checked at the moment, because Redis does not answer"
    return Problem(UNAVAILABLE, detail, headers={"Retry-After": "1"})


def _sign_in_first(scope: Scope) -> Problem:
    query = scope["query_string"].decode("ascii", "replace")
    page = scope["path"] + (f"?{query}" if query else "")
    return Problem(SIGN_IN_FIRST, "sign in first", headers={"Location": f"{SIGN_IN}?next={quote(page, safe='')}"})


def _unauthorized(given: bytes) -> Problem:
    reason = "wrong" if given else "missing"
    headers = {"WWW-Authenticate": 'Bearer realm="workmanager"'}
    return Problem(UNAUTHORIZED, f"the API key is {reason}: send Authorization: Bearer KEY", headers=headers)
