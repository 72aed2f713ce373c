"""Who sends a request: the id of a key or token, what it may do, and which queues it sees."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from manager.api_keys.limits import KeyLimiter
from manager.api_keys.record import ADMIN, SCOPES


@dataclass(frozen=True, slots=True)
class Caller:
    """The API key or token (JWT) that a request was sent with.

    Attributes:
        key_id: the key's public id, or the token's subject as logs show it.
        scopes: what it may do.
        queues: names or patterns of the queues that it is bound to; empty if it is not bound.
        is_stored: the key is one of those in Redis, which can end while a request waits.
        expires_at: when a token ends (Unix time); None for keys.
        limiter: what it has left of its limits; None if it has none.
    """

    key_id: str
    scopes: frozenset[str]
    queues: tuple[str, ...] = ()
    is_stored: bool = False
    expires_at: float | None = None
    limiter: KeyLimiter | None = field(default=None, compare=False)
    _pattern: re.Pattern[str] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        key_id: str,
        scopes: Collection[str],
        queues: Sequence[str] = (),
        *,
        is_stored: bool = False,
        expires_at: float | None = None,
        limiter: KeyLimiter | None = None,
    ) -> "Caller":
        """Return the caller with this key or token."""
        granted = frozenset(SCOPES if ADMIN in scopes else scopes)
        pattern = _compile(queues) if queues else None
        return cls(key_id, granted, tuple(queues), is_stored, expires_at, limiter, pattern)

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{'API key' if self.expires_at is None else 'token'} {self.key_id}"

    def is_expired(self, now: float) -> bool:
        """Return whether it is a token that is over."""
        return self.expires_at is not None and self.expires_at <= now

    @property
    def is_bound(self) -> bool:
        """Whether it sees only some queues."""
        return self._pattern is not None

    def sees(self, queue: str) -> bool:
        """Return whether it sees the jobs of a queue."""
        return self._pattern is None or self._pattern.fullmatch(queue) is not None


NOBODY_IN_PARTICULAR = Caller.of("", SCOPES)
"""Whoever sends a request to a manager that asks for no keys."""


def _compile(queues: Sequence[str]) -> re.Pattern[str]:
    # Not `fnmatch`: `[` has no meaning here, and a queue's name may hold line breaks if a plain RQ client chose it.
    alternatives = (".*".join(map(re.escape, pattern.split("*"))) for pattern in queues)
    return re.compile("|".join(alternatives), re.DOTALL)
