"""Limit the number of connections: a new one takes the place of one that does nothing."""

from typing import Protocol

EVICTED_SHARE = 1 / 16
"""Share of the connections that is closed at once, so that they are not searched for each new one."""
MAX_EXCESS = 64
"""So many connections above the limit are told why they are refused; others are just closed."""
SEARCH_PAUSE_SECONDS = 0.5
"""After a search that found no connection to close."""


class Evictable(Protocol):
    """A connection.

    Attributes:
        has_served: whether it has carried a request.
    """

    has_served: bool

    @property
    def waiting_since(self) -> float | None:
        """Since when it has done nothing, on the clock of `ConnectionLimit.admit`; None while it is at work."""

    def evict(self) -> None:
        """Close it. `ConnectionLimit.remove` is called later, as for every connection that has closed."""


class ConnectionLimit:
    """All connections of a server.

    Args:
        limit: how many there should be at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._connections: set[Evictable] = set()
        self._evicted: set[Evictable] = set()
        self._no_search_before = 0.0

    @property
    def excess(self) -> int:
        """By how many connections the limit is exceeded, apart from those that are about to close."""
        return len(self._connections) - len(self._evicted) - self.limit

    def admit(self, connection: Evictable, now: float) -> bool:
        """Count a new connection, and return whether there is room for it, if need be because others are closed."""
        self._connections.add(connection)
        if self.excess > 0 and now >= self._no_search_before:
            self._make_room(connection, now)
        return self.excess <= 0

    def remove(self, connection: Evictable) -> None:
        """Forget a connection that has closed."""
        self._connections.discard(connection)
        self._evicted.discard(connection)

    def _make_room(self, newcomer: Evictable, now: float) -> None:
        """Close connections: first those that have never carried a request, then those that have waited longest."""
        waiting = [
            (each.has_served, since, each)
            for each in self._connections - self._evicted
            if each is not newcomer and (since := each.waiting_since) is not None
        ]
        waiting.sort(key=lambda entry: entry[:2])
        for _, _, connection in waiting[: max(1, int(self.limit * EVICTED_SHARE))]:
            self._evicted.add(connection)
            connection.evict()
        if not waiting:
            self._no_search_before = now + SEARCH_PAUSE_SECONDS
