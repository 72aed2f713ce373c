"""Who sends a request: an API key's id, what it may do, and which queues it sees."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from manager.api_keys.record import ADMIN, SCOPES


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a request was sent with.

    Attributes:
        key_id: its public id.
        scopes: what it may do.
        queues: names or patterns of the queues that it is bound to; empty if it is not bound.
        is_stored: the key is one of those in Redis, which can end while a request waits.
    """

    key_id: str
    scopes: frozenset[str]
    queues: tuple[str, ...] = ()
    is_stored: bool = False
    _pattern: re.Pattern[str] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls, key_id: str, scopes: Collection[str], queues: Sequence[str] = (), *, is_stored: bool = False
    ) -> "Caller":
        """Return the caller with this key."""
        granted = frozenset(SCOPES if ADMIN in scopes else scopes)
        return cls(key_id, granted, tuple(queues), is_stored, _compile(queues) if queues else None)

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
