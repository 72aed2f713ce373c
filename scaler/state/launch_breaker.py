"""Circuit breaker and backoff for launches: when, and from which capacity pools, new instances can be requested. Pure.

Its state is stored in Redis, so that the next leader continues with it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scaler.fleets.fleet import Cause
from scaler.fleets.instances import LaunchRequest

POOL_COOLDOWN_SECONDS = 100.0
"""How long a capacity pool that had no instances, or was refused, is not requested again."""
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 100.0
REFUSED_BACKOFF_SECONDS = 15.0
"""Initial backoff after a refused call. It is longer, because an operator must fix the setup first."""
FAILED_BOOTS_TO_OPEN = 5
"""Consecutive failed boots after which the breaker opens: then only single probes are launched."""
_NEVER_REGISTERED = "consecutive boots never registered"
PROBE_SECONDS = 60.0
"""Pause between probes. It grows linearly with each further failed boot, up to ten times this value."""


@dataclass(frozen=True, slots=True)
class LaunchBreaker:
    """State of the breaker. Times are Unix times in seconds.

    Attributes:
        cooldowns: capacity pools that had no instances or were refused, each with the time until which it is not
            requested.
        max_counts: capacity pools that refused several instances in one call, each with the most that a call asks for.
        failures: consecutive calls that failed for another reason than capacity.
        not_before: no launches before this time.
        failed_boots: consecutive instances whose worker never registered.
        failed_at: time of the last failed boot.
        last_failure: description of the last failure, for operators.
    """

    cooldowns: Mapping[str, float] = field(default_factory=dict)
    max_counts: Mapping[str, int] = field(default_factory=dict)
    failures: int = 0
    not_before: float = 0.0
    failed_boots: int = 0
    failed_at: float = 0.0
    last_failure: str = ""

    def after_failure(
        self, cause: Cause, pool: str, description: str, now: float, jitter: float, *, refused: int = 0
    ) -> "LaunchBreaker":
        """Return the state after a failed call.

        Args:
            jitter: random number from 0 to 1, so that two managers do not retry at the same moment.
            refused: number of instances that the call asked for, if it launched none. If there were several, the pool
                is asked for one in the next round, and cools down if it refuses that, too.
        """
        if cause is Cause.CAPACITY and refused > 1:
            # A quota that has room for fewer can refuse the whole call, and would do so each time.
            return replace(self, max_counts={**self.max_counts, pool: 1}, last_failure=description)
        cooldowns = self.cooldowns
        if cause in (Cause.CAPACITY, Cause.POOL_REFUSED, Cause.REFUSED):
            # The next call goes to another pool, in case the refusal concerns only this one.
            cooling = {name: until for name, until in self.cooldowns.items() if until > now}
            cooldowns = {**cooling, pool: now + POOL_COOLDOWN_SECONDS}
        if cause in (Cause.CAPACITY, Cause.POOL_REFUSED):
            return replace(self, cooldowns=cooldowns, last_failure=description)
        if cause in (Cause.THROTTLED, Cause.UNKNOWN, Cause.REFUSED) or (cause is Cause.GONE and refused):
            first = REFUSED_BACKOFF_SECONDS if cause is Cause.REFUSED else FIRST_BACKOFF_SECONDS
            longest = min(MAX_BACKOFF_SECONDS, first * 2.0 ** min(self.failures, 16))
            # Full jitter with a minimum pause, as AWS advises for throttled calls.
            pause_seconds = max(first / 2, longest * jitter)
            return replace(
                self,
                cooldowns=cooldowns,
                failures=self.failures + 1,
                not_before=now + pause_seconds,
                last_failure=description,
            )
        return self

    def after_success(self, pool: str, launched: int) -> "LaunchBreaker":
        """Return the state after a successful call. The maximum of its pool doubles, or ends if fewer are enough."""
        max_counts = {name: most for name, most in self.max_counts.items() if name != pool}
        if launched and launched == self.max_counts.get(pool):
            max_counts[pool] = 2 * launched
        return replace(self, max_counts=max_counts, failures=0, not_before=0.0)

    def without_pauses(self) -> "LaunchBreaker":
        """Return the state of a manager whose calls may not be refused as those of the last one were."""
        return replace(self, cooldowns={}, failures=0, not_before=0.0)

    def after_boots(self, arrived: int, failed: int, now: float) -> "LaunchBreaker":
        """Return the state after `arrived` workers registered and `failed` instances were given up."""
        changed = replace(self, failed_boots=0, failed_at=0.0) if arrived and self.failed_boots else self
        if failed and not arrived:
            failed_boots = changed.failed_boots + failed
            description = f"the workers of {failed_boots} {_NEVER_REGISTERED}"
            changed = replace(changed, failed_boots=failed_boots, failed_at=now, last_failure=description)
        return changed

    @property
    def is_open(self) -> bool:
        """Whether so many boots failed that only probes are launched."""
        return self.failed_boots >= FAILED_BOOTS_TO_OPEN

    @property
    def last_refusal(self) -> str:
        """Description of the last failure, if that was one of a call; else ''."""
        return "" if self.last_failure.endswith(_NEVER_REGISTERED) else self.last_failure

    def max_launches(self, booting: int, now: float) -> int | None:
        """Return how many instances can be launched now; None: no limit."""
        if now < self.not_before:
            return 0
        if not self.is_open:
            return None
        return 1 if not booting and now >= self._probe_at else 0

    @property
    def _probe_at(self) -> float:
        return self.failed_at + PROBE_SECONDS * min(10, self.failed_boots - FAILED_BOOTS_TO_OPEN + 1)

    def held_back_until(self, now: float) -> float:
        """Return when launches that are held back are tried again; a time that has passed if it is not known."""
        if now < self.not_before:
            return self.not_before
        if self.is_open:
            return self._probe_at
        return min((until for until in self.cooldowns.values() if until > now), default=0.0)

    def cooling_pools(self, now: float) -> set[str]:
        """Return the capacity pools that are cooling down."""
        return {name for name, until in self.cooldowns.items() if until > now}

    def limited(self, request: LaunchRequest) -> LaunchRequest:
        """Return the request for no more instances than its pool is asked for."""
        return replace(request, count=min(request.count, self.max_counts.get(request.pool, request.count)))

    def dump(self) -> dict[str, Any]:
        """Return the state for JSON."""
        return {_STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def load(cls, value: Mapping[str, Any] | None) -> "LaunchBreaker":
        """Restore the output of `dump`; None, or something else: a closed breaker."""
        breaker = cls()
        stored = {_FIELD_NAMES.get(name, name): content for name, content in (value or {}).items()}
        known = {name: stored[name] for name in asdict(breaker) if name in stored}
        for name, content in known.items():
            default = getattr(breaker, name)
            if not isinstance(content, (int, float) if isinstance(default, float) else type(default)):
                return breaker
        if not all(isinstance(until, int | float) for until in known.get("cooldowns", {}).values()):
            return breaker
        if not all(isinstance(most, int) and most > 0 for most in known.get("max_counts", {}).values()):
            return breaker
        return replace(breaker, **known)


_STORED_NAMES = {"cooldowns": "avoided", "last_failure": "why"}
"""Field names in Redis that differ from the attributes. They belong to the record format."""
_FIELD_NAMES = {stored: name for name, stored in _STORED_NAMES.items()}
