"""API key authentication (bearer tokens)."""

import hmac
from collections.abc import Iterable

from manager.http.asgi import Scope, header
from manager.http.problems import UNAUTHORIZED, Problem

HEALTH_PATHS = frozenset({"/healthz", "/readyz"})
"""Paths for load balancers."""
DOCS_PATHS = frozenset({"/docs", "/docs/page.js", "/docs/swagger-ui.js", "/docs/swagger-ui.css"})
"""The page that shows the API. A browser opens a page without a key; this one asks for it."""
PUBLIC_PATHS = HEALTH_PATHS | DOCS_PATHS
"""Paths that need no key."""


class ApiKeyAuth:
    """The configured API keys. Without any, every request is allowed."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def check(self, scope: Scope) -> None:
        """Raise a Problem (401) if the request needs a key and has no valid one."""
        if not self._keys or scope["path"] in PUBLIC_PATHS:
            return
        given = header(scope, b"authorization") or b""
        scheme, _, token = given.partition(b" ")
        token = token.strip()
        # All keys are compared in constant time, even after a match, so that the duration reveals nothing.
        matches = [hmac.compare_digest(token, key) for key in self._keys]
        if scheme.lower() != b"bearer" or not any(matches):
            reason = "wrong" if given else "missing"
            headers = {"WWW-Authenticate": 'Bearer realm="workmanager"'}
            raise Problem(UNAUTHORIZED, f"the API key is {reason}: send Authorization: Bearer KEY", headers=headers)
