"""What the scaler refrains from for a while, after calls and boots that failed. Pure.

Kept in Redis, so that the next leader does not learn it the hard way again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scaler.fleets.fleet import Cause

POOL_COOLDOWN_SECONDS = 180.0
"""An offering that was short is not asked for again for so long."""
FIRST_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 300.0
REFUSED_BACKOFF_SECONDS = 15.0
"""Where the setup is wrong, somebody has to change something first."""
FAILED_BOOTS_TO_OPEN = 5
"""After so many boots in a row without a worker no more are launched than a probe at a time."""
PROBE_SECONDS = 60.0
"""Between probes: as long as this, times the failed boots beyond those that it takes, up to ten times."""


@dataclass(frozen=True, slots=True)
class LaunchBreaker:
    """What is to be minded. Times are epoch seconds.

    Attributes:
        avoided: offerings that are short, and until when.
        failures: calls in a row that were throttled or refused.
        not_before: no launches until then.
        failed_boots: instances in a row whose worker never registered.
        failed_at: when the last of them was given up.
        why: what the last failure was, for operators.
    """

    cooldowns: Mapping[str, float] = field(default_factory=dict)
    failures: int = 0
    not_before: float = 0.0
    failed_boots: int = 0
    failed_at: float = 0.0
    last_failure: str = ""

    def after_failure(self, cause: Cause, pool: str, why: str, now: float, jitter: float) -> "LaunchBreaker":
        """A call has failed.

        Args:
            jitter: random, from 0 to 1: two managers must not come back at the same moment.
        """
        if cause is Cause.CAPACITY:
            avoided = {name: until for name, until in self.cooldowns.items() if until > now}
            return replace(self, cooldowns={**avoided, pool: now + POOL_COOLDOWN_SECONDS}, last_failure=why)
        if cause in (Cause.THROTTLED, Cause.UNKNOWN, Cause.REFUSED):
            first = REFUSED_BACKOFF_SECONDS if cause is Cause.REFUSED else FIRST_BACKOFF_SECONDS
            longest = min(MAX_BACKOFF_SECONDS, first * 2.0 ** min(self.failures, 16))
            # Full jitter, but never at once: AWS' own advice for throttled calls.
            pause_seconds = max(first / 2, longest * jitter)
            return replace(self, failures=self.failures + 1, not_before=now + pause_seconds, last_failure=why)
        return self

    def after_success(self) -> "LaunchBreaker":
        """A call has done what was asked."""
        return replace(self, failures=0, not_before=0.0) if self.failures else self

    def after_boots(self, arrived: int, failed: int, now: float) -> "LaunchBreaker":
        """Workers have registered, or never did."""
        changed = replace(self, failed_boots=0, failed_at=0.0) if arrived and self.failed_boots else self
        if failed and not arrived:
            why = f"{changed.failed_boots + failed} boots in a row brought no worker"
            changed = replace(changed, failed_boots=changed.failed_boots + failed, failed_at=now, last_failure=why)
        return changed

    @property
    def is_open(self) -> bool:
        """Whether boots fail so often that launching is pointless."""
        return self.failed_boots >= FAILED_BOOTS_TO_OPEN

    def max_launches(self, booting: int, now: float) -> int | None:
        """How many instances may be launched now; None: as many as are wanted."""
        if now < self.not_before:
            return 0
        if not self.is_open:
            return None
        probes = min(10, self.failed_boots - FAILED_BOOTS_TO_OPEN + 1)
        return 1 if not booting and now >= self.failed_at + PROBE_SECONDS * probes else 0

    def cooling_pools(self, now: float) -> set[str]:
        """Offerings that are short at the moment."""
        return {name for name, until in self.cooldowns.items() if until > now}

    def dump(self) -> dict[str, Any]:
        """As JSON carries it."""
        return {_STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def load(cls, value: Mapping[str, Any] | None) -> "LaunchBreaker":
        """What `dump` gave; None: nothing is to be minded."""
        if value is None:
            return cls()
        return cls(**{_FIELD_NAMES.get(name, name): content for name, content in value.items()})


_STORED_NAMES = {"cooldowns": "avoided", "last_failure": "why"}
"""Names in Redis, which belong to the record format, where they differ from the fields' names."""
_FIELD_NAMES = {stored: name for name, stored in _STORED_NAMES.items()}
