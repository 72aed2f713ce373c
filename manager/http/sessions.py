"""Sessions of the dashboard: a cookie that stands for an API key, without holding it.

A session names a key and its end, and is signed with a secret that all managers derive from WORKMANAGER_API_KEYS, so
any of them can check it and none stores it. The signature covers the hash of the key's secret: a session ends with the
secret that it was begun with, when the key is revoked, and when WORKMANAGER_API_KEYS changes.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from manager.api_keys.caller import Caller
from manager.api_keys.record import digest_of
from manager.api_keys.table import KeyTable
from manager.http.asgi import Scope, header

COOKIE = "workmanager_session"
SESSION_SECONDS = 12 * 3600
_SALT = b"workmanager dashboard session"
_MAX_COOKIE_CHARACTERS = 256


class Sessions:
    """Begins and checks sessions.

    Args:
        keys: those of WORKMANAGER_API_KEYS, with whom each belongs to.
        table: the keys in Redis.
        now: returns Unix time.
    """

    def __init__(
        self, keys: Iterable[tuple[bytes, Caller]], table: KeyTable, now: Callable[[], float] = time.time
    ) -> None:
        keys = list(keys)
        self._keys = [key for key, _ in keys]
        self._callers = {caller.key_id: (caller, (digest_of(key),)) for key, caller in keys}
        self._table = table
        self._now = now

    def begin(self, caller: Caller, key: bytes) -> str:
        """Return the cookie's value for the caller that a key belongs to."""
        end = int(self._now()) + SESSION_SECONDS
        return f"{caller.key_id}.{end}.{self._sign(caller.key_id, end, digest_of(key))}"

    def find(self, scope: Scope) -> Caller | None:
        """Return whom the session of a request belongs to; None if it has none that is valid.

        Raises:
            KeysUnknown: the keys in Redis cannot be checked now.
        """
        for text in _cookies(scope):
            key_id, _, rest = text.partition(".")
            end, _, signature = rest.partition(".")
            if end.isascii() and end.isdecimal() and self._now() < int(end):
                found = self._callers.get(key_id) or self._table.entry(key_id)
                if found is not None and self._is_signed(signature, key_id, int(end), found[1]):
                    return found[0]
        return None

    @cached_property
    def _secret(self) -> bytes:
        # Slow to derive, once in a manager's life: whoever holds a session must not be able to guess an operator's key.
        joined = b"\0".join(sorted(self._keys))
        return hashlib.scrypt(joined, salt=_SALT, n=1 << 14, r=8, p=1)

    def _sign(self, key_id: str, end: int, digest: str) -> str:
        return hmac.new(self._secret, f"{key_id}.{end}.{digest}".encode(), hashlib.sha256).hexdigest()

    def _is_signed(self, signature: str, key_id: str, end: int, digests: Sequence[str]) -> bool:
        given = signature.encode()
        return any(hmac.compare_digest(given, self._sign(key_id, end, digest).encode()) for digest in digests)


def _cookies(scope: Scope) -> Iterator[str]:
    """Yield the values of the cookie; programs on other ports of the machine may have set one of that name, too."""
    for pair in (header(scope, b"cookie") or b"").replace(b",", b";").split(b";"):
        name, _, value = pair.strip().decode("latin-1").partition("=")
        if name == COOKIE and len(value) <= _MAX_COOKIE_CHARACTERS:
            yield value
