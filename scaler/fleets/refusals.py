"""How long a fleet has refused this manager's calls. Another manager must try in time: the fault can be here alone.

Examples are credentials that its metadata service does not give, a clock that is wrong, and a role that does not allow
what a manager of an older or newer version launches.
"""

from dataclasses import dataclass, field

from scaler.fleets.fleet import Cause, FleetError

FIRST_PATIENCE_SECONDS, MAX_PATIENCE_SECONDS = 60.0, 3600.0
"""How long refusals last before another manager must try. It doubles each time, until the calls succeed."""


@dataclass(slots=True)
class RefusedCalls:
    """The calls that are refused, by their kind: that one kind succeeds says nothing of another."""

    _first_and_latest: dict[str, tuple[float, float]] = field(default_factory=dict)
    _tried: set[str] = field(default_factory=set)
    _patience_seconds: float = FIRST_PATIENCE_SECONDS

    def note(self, kind: str, error: FleetError | None, now: float) -> None:
        """Note the outcome of a call; `error` is None if it succeeded."""
        match None if error is None else error.cause:
            case Cause.REFUSED:
                first, _ = self._first_and_latest.get(kind, (now, now))
                self._first_and_latest[kind] = first, now
            case Cause.UNKNOWN | Cause.THROTTLED:
                pass  # It does not say whether the call is allowed.
            case _:
                self._first_and_latest.pop(kind, None)
                self._tried.discard(kind)
                if not self._first_and_latest and not self._tried:
                    self._patience_seconds = FIRST_PATIENCE_SECONDS

    def overdue_seconds(self) -> float | None:
        """Return for how long calls have been refused, if that is too long; else None."""
        seconds = max((latest - first for first, latest in self._first_and_latest.values()), default=0.0)
        return seconds if seconds >= self._patience_seconds else None

    def start_over(self) -> None:
        """Begin to wait anew, for longer."""
        self._tried |= self._first_and_latest.keys()
        self._first_and_latest = {}
        self._patience_seconds = min(MAX_PATIENCE_SECONDS, 2 * self._patience_seconds)
