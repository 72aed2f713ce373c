"""Sessions of the dashboard: a cookie that stands for an API key, without holding it, or for whom an issuer signed in.

A session names a key and its end, and is signed with a secret that all managers derive from WORKMANAGER_API_KEYS, so
any of them can check it and none stores it. The signature covers the hash of the key's secret: a session ends with the
secret that it was begun with, when the key is revoked, and when WORKMANAGER_API_KEYS changes.

That of somebody whom an issuer has signed in says what the token allows. Its signature covers the issuer: it ends when
managers take no tokens of it any more.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from manager.api_keys.caller import Caller
from manager.api_keys.record import digest_of
from manager.api_keys.table import KeyTable
from manager.http.asgi import Scope, header
from manager.jwt.claims import SUBJECT_PREFIX
from manager.jwt.issuer import Issuer

COOKIE = "workmanager_session"
SESSION_SECONDS = 12 * 3600
MIN_TOKEN_SESSION_SECONDS = 3600
"""Issuers give tokens for some minutes, because programs can have them renewed. People would have to sign in again."""
MAX_COOKIE_CHARACTERS = 3800
"""Browsers keep cookies of 4,096."""
_SALT = b"workmanager dashboard session"


class Sessions:
    """Begins and checks sessions.

    Args:
        keys: those of WORKMANAGER_API_KEYS, with whom each belongs to.
        table: the keys in Redis.
        now: returns Unix time.
        issuer: whose people can have sessions.
    """

    def __init__(
        self,
        keys: Iterable[tuple[bytes, Caller]],
        table: KeyTable,
        now: Callable[[], float] = time.time,
        issuer: Issuer | None = None,
    ) -> None:
        keys = list(keys)
        self._keys = [key for key, _ in keys]
        self._callers = {caller.key_id: (caller, (digest_of(key),)) for key, caller in keys}
        self._table = table
        self._issuer_digest = None if issuer is None else digest_of(f"{issuer.url} {issuer.client_id}".encode())
        self._now = now

    def begin(self, caller: Caller, key: bytes) -> str:
        """Return the cookie's value for the caller that a key belongs to."""
        end = int(self._now()) + SESSION_SECONDS
        return f"{caller.key_id}.{end}.{self._sign(caller.key_id, end, digest_of(key))}"

    def begin_for_token(self, caller: Caller) -> str | None:
        """Return the cookie's value for whom the issuer has signed in, with what the token allows; None if too long."""
        assert self._issuer_digest is not None
        assert caller.expires_at is not None
        now = self._now()
        end = int(now + min(max(caller.expires_at - now, MIN_TOKEN_SESSION_SECONDS), SESSION_SECONDS))
        subject = _write_caller(caller)
        session = f"{subject}.{end}.{self._sign(subject, end, self._issuer_digest)}"
        return session if len(session) <= MAX_COOKIE_CHARACTERS else None

    def find(self, scope: Scope) -> Caller | None:
        """Return whom the session of a request belongs to; None if it has none that is valid.

        Raises:
            KeysUnknown: the keys in Redis cannot be checked now.
        """
        for text in cookies_of(scope, COOKIE):
            key_id, _, rest = text.partition(".")
            end, _, signature = rest.partition(".")
            if end.isascii() and end.isdecimal() and self._now() < int(end):
                caller = self._find(key_id, int(end), signature)
                if caller is not None:
                    return caller
        return None

    def _find(self, key_id: str, end: int, signature: str) -> Caller | None:
        if key_id.startswith(SUBJECT_PREFIX):
            digest = self._issuer_digest
            is_signed = digest is not None and self._is_signed(signature, key_id, end, (digest,))
            return _read_caller(key_id, end) if is_signed else None
        found = self._callers.get(key_id) or self._table.entry(key_id)
        return found[0] if found is not None and self._is_signed(signature, key_id, end, found[1]) else None

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


def _write_caller(caller: Caller) -> str:
    content = json.dumps([caller.key_id, sorted(caller.scopes), caller.queues], separators=(",", ":"))
    return f"{SUBJECT_PREFIX}{base64.urlsafe_b64encode(content.encode()).rstrip(b'=').decode()}"


def _read_caller(text: str, end: int) -> Caller:
    """Return whom a session belongs to. Its signature has been checked."""
    key_id, scopes, queues = json.loads(base64.urlsafe_b64decode(f"{text.removeprefix(SUBJECT_PREFIX)}==="))
    return Caller.of(key_id, scopes, queues, expires_at=end)


def cookies_of(scope: Scope, wanted: str) -> Iterator[str]:
    """Yield the values of a cookie; programs on other ports of the machine may have set one of that name, too."""
    for pair in (header(scope, b"cookie") or b"").replace(b",", b";").split(b";"):
        name, _, value = pair.strip().decode("latin-1").partition("=")
        if name == wanted and len(value) <= MAX_COOKIE_CHARACTERS:
            yield value
