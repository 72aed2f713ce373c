"""When a schedule runs: a cron expression in a time zone, or an interval, between two instants. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice, takewhile

from manager.schedules.cron import check_syntax, in_words, instants_after
from manager.schedules.zones import UTC_NAME, zone_of

MAX_COUNTED = 1_000
"""Instants of a cron expression are counted up to here."""

# How far back the latest instants are looked for, in seconds: the first span that has enough of them is used.
_SPANS = (3600.0, 86400.0, 31 * 86400.0, 366 * 86400.0, math.inf)
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule runs. Times are Unix times.

    Attributes:
        cron: the expression; None with `every_seconds`.
        every_seconds: the interval; instants are its multiples since the epoch.
        timezone: of the expression.
        start, end: the first and the last possible instant; None for no bound.
    """

    cron: str | None
    every_seconds: int | None
    timezone: str = UTC_NAME
    start: float | None = None
    end: float | None = None

    def check(self) -> None:
        """Check that it can be evaluated.

        Raises:
            ValueError, TypeError: it cannot.
        """
        zone_of(self.timezone)
        if self.cron is not None:
            check_syntax(self.cron)
        elif not isinstance(self.every_seconds, int) or self.every_seconds < 1:
            raise ValueError(f"an interval of {self.every_seconds!r} seconds")
        for bound in (self.start, self.end):
            if bound is not None and not math.isfinite(bound):
                raise ValueError(f"{bound!r} is no time")

    def after(self, instant: float) -> Iterator[float]:
        """Yield the instants after another one, in order."""
        if self.start is not None:
            instant = max(instant, self.start - 1e-3)
        every = self.every_seconds
        if every is not None:
            first = math.floor(instant / every) + 1
            found: Iterator[float] = (float(number * every) for number in count(first))
        else:
            assert self.cron is not None
            found = instants_after(self.cron, zone_of(self.timezone), instant)
        end = self.end
        return found if end is None else takewhile(lambda each: each <= end, found)

    def next_after(self, instant: float) -> float | None:
        """Return the first instant after another one; None if there is none."""
        return _next_after(self, instant)

    def latest(self, first: float, until: float, limit: int) -> list[float]:
        """Return the last instants, at most `limit`, from `first` to `until`, both included; in order."""
        found: list[float] = []
        for span in _SPANS:
            lowest = max(first, until - span)
            start = lowest - 1e-3
            if self.every_seconds is not None:
                # Its instants are numbered: nothing need be searched.
                start = max(start, until - (limit + 1) * self.every_seconds)
            found = [each for each in takewhile(lambda each: each <= until, self.after(start)) if each >= lowest]
            if len(found) >= limit or lowest == first:
                break
        return found[-limit:]

    def count(self, first: float, until: float) -> int:
        """Return how many instants there are from `first` to before `until`; of cron at most `MAX_COUNTED`."""
        if self.every_seconds is not None:
            low = first if self.start is None else max(first, self.start)
            high = until if self.end is None else min(until, math.nextafter(self.end, math.inf))
            return max(0, math.ceil(high / self.every_seconds) - math.ceil(low / self.every_seconds))
        found = takewhile(lambda each: each < until, self.after(first - 1e-3))
        return sum(1 for _ in islice(found, MAX_COUNTED))

    @property
    def in_words(self) -> str:
        """What it says, such as `Every 15 minutes`."""
        if self.cron is not None:
            return in_words(self.cron)
        assert self.every_seconds is not None
        name, seconds = next((name, unit) for name, unit in _UNITS if self.every_seconds % unit == 0)
        number = self.every_seconds // seconds
        return f"Every {name}" if number == 1 else f"Every {number} {name}s"


@lru_cache(maxsize=4096)
def _next_after(timing: Timing, instant: float) -> float | None:
    # Many schedules have the same timing, and all managers plan each instant.
    return next(timing.after(instant), None)
