"""API keys: who may ask."""

import hmac
from collections.abc import Iterable

from manager.http.asgi import Scope, header
from manager.http.problems import UNAUTHORIZED, Problem

PUBLIC_PATHS = frozenset({"/healthz", "/readyz"})


class ApiKeyAuth:
    """The keys that the operator gave out; with none, everybody may ask."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def check(self, scope: Scope) -> None:
        """Raises a Problem (401) where the request needs a key and brings none of ours."""
        if not self._keys or scope["path"] in PUBLIC_PATHS:
            return
        given = header(scope, b"authorization") or b""
        scheme, _, token = given.partition(b" ")
        token = token.strip()
        # Every key is compared, whichever matches, in a time that tells nothing about them.
        matches = [hmac.compare_digest(token, key) for key in self._keys]
        if scheme.lower() != b"bearer" or not any(matches):
            what = "wrong" if given else "missing"
            headers = {"WWW-Authenticate": 'Bearer realm="workmanager"'}
            raise Problem(UNAUTHORIZED, f"the API key is {what}: send Authorization: Bearer KEY", headers=headers)
