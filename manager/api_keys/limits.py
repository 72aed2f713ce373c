"""What the requests of one API key may cost a manager: rates as token buckets, sizes as numbers. Pure but for a clock.

Each manager keeps its own buckets, so that no request waits for Redis.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of a key; None where there is none.

    Attributes:
        requests_per_second: at each manager.
        jobs_per_second: that are submitted at each manager.
        payload_bytes: of a job: its binary data, and its other arguments and meta.
        waiting_jobs: the key submits no more to a queue in which so many jobs are queued or scheduled.
    """

    requests_per_second: float | None = None
    jobs_per_second: float | None = None
    payload_bytes: int | None = None
    waiting_jobs: int | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is any limit."""
        return self != NO_LIMITS

    def given(self) -> dict[str, float]:
        """Return those that are set."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_stored(cls, value: Mapping[str, object]) -> "KeyLimits":
        """Return the limits in a stored record.

        Raises:
            ValueError, TypeError: there is another limit, or one that is no positive number.
        """
        for each in value.values():
            if type(each) not in (int, float) or not 0 < each < math.inf:  # type: ignore[operator]  # a number by then
                raise ValueError("a limit is no positive number")
        return cls(**value)  # type: ignore[arg-type]  # checked above


NO_LIMITS = KeyLimits()


class TokenBucket:
    """Lets `rate` tokens a second through, and as many at once as a second brings, but at least one."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate)
        self._tokens = self._capacity
        self._at = now

    def take(self, now: float) -> float:
        """Take a token and return 0; or take none, and return in how many seconds there will be one."""
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0

    def give_back(self) -> None:
        """Return a token that was taken for nothing."""
        self._tokens = min(self._capacity, self._tokens + 1)


class KeyLimiter:
    """What one key has left of its limits at this manager.

    Args:
        clock: returns seconds that never go back.
    """

    def __init__(self, limits: KeyLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._requests = self._bucket(limits.requests_per_second)
        self._jobs = self._bucket(limits.jobs_per_second)

    def take_request(self) -> float:
        """Count a request and return 0; or return in how many seconds one will be let through."""
        return 0.0 if self._requests is None else self._requests.take(self._clock())

    def take_job(self) -> float:
        """Count a job and return 0; or return in how many seconds one will be let through."""
        return 0.0 if self._jobs is None else self._jobs.take(self._clock())

    def give_back_job(self) -> None:
        """Do not count a job that was not written after all."""
        if self._jobs is not None:
            self._jobs.give_back()

    def payload_bytes(self, limit: int) -> int:
        """Return the limit of a job's binary data, where the manager's own is `limit`."""
        own = self.limits.payload_bytes
        return limit if own is None else min(limit, own)

    def _bucket(self, rate: float | None) -> TokenBucket | None:
        return None if rate is None else TokenBucket(rate, self._clock())
