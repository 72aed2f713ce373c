"""Find out whom a token belongs to. A verified token is remembered, so that most requests cost a hash and a lookup.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any

from joserfc.jwk import KeySet

from manager.api_keys.caller import Caller
from manager.jwt.claims import caller_from
from manager.jwt.discovery import Endpoints, fetch_published
from manager.jwt.errors import IssuerUnavailable, TokenRefused, UnknownSigningKey
from manager.jwt.issuer import Issuer
from manager.jwt.issuer_keys import IssuerKeys
from manager.jwt.verification import LEEWAY_SECONDS, verify

MAX_TOKEN_BYTES = 8192
REMEMBER_SECONDS = 60.0
MAX_REMEMBERED = 4096


class JwtVerifier:
    """Verifies the tokens of an issuer.

    Attributes:
        endpoints: where people sign in there, as last fetched; None if that is not known.

    Args:
        keys: the issuer's keys; by default they are fetched from it.
        now: returns Unix time.
    """

    def __init__(self, issuer: Issuer, keys: IssuerKeys | None = None, now: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._keys = keys or IssuerKeys(self._fetch)
        self._now = now
        self.endpoints: Endpoints | None = None
        self._verified_with: KeySet | None = None
        self._remembered: dict[bytes, tuple[Caller, float]] = {}
        """By the token's digest: whom it belongs to, and until when (Unix time) it is not verified again."""

    def find(self, token: bytes) -> Caller:
        """Return whom a token belongs to.

        Raises:
            TokenRefused: it is not valid.
            IssuerUnavailable: that cannot be told now. Try again.
        """
        keys = self._current_keys(token)
        if keys is not self._verified_with:
            # A key may have been withdrawn.
            self._remembered.clear()
            self._verified_with = keys
        digest, now = hashlib.sha256(token).digest(), self._now()
        caller, until = self._remembered.get(digest, (None, 0.0))
        if caller is not None and now < until:
            return caller
        issuer = self._issuer
        claims = self._verify(token, keys, issuer.audience, now)
        return self._remember(digest, caller_from(claims, issuer.scope_claim, issuer.queues_claim, LEEWAY_SECONDS), now)

    def read_id_token(self, token: bytes) -> dict[str, Any]:
        """Return the claims of a token that says who has signed in (an ID token of OpenID Connect).

        Raises:
            TokenRefused: it is not valid.
            IssuerUnavailable: that cannot be told now. Try again.
        """
        return self._verify(token, self._current_keys(token), self._issuer.client_id, self._now())

    def start(self) -> None:
        """Fetch the issuer's keys from now on."""
        self._keys.start()

    async def stop(self) -> None:
        """Stop fetching them."""
        await self._keys.stop()

    def _current_keys(self, token: bytes) -> KeySet:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefused(f"it is longer than {MAX_TOKEN_BYTES} bytes")
        keys = self._keys.current()
        if keys is None:
            raise IssuerUnavailable("the issuer's keys have not been fetched yet, or not for a day")
        return keys

    async def _fetch(self) -> KeySet:
        published = await fetch_published(self._issuer)
        self.endpoints = published.endpoints
        return published.keys

    def _verify(self, token: bytes, keys: KeySet, audience: str, now: float) -> dict[str, Any]:
        try:
            return verify(token, keys, self._issuer.url, audience, now)
        except UnknownSigningKey as error:
            if self._keys.ask():
                raise IssuerUnavailable("the issuer is being asked for the token's key") from error
            raise

    def _remember(self, digest: bytes, caller: Caller, now: float) -> Caller:
        if len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]  # the oldest
        until = now + REMEMBER_SECONDS
        self._remembered[digest] = caller, until if caller.expires_at is None else min(until, caller.expires_at)
        return caller
