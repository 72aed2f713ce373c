"""What changes of the clock do to a cron expression, in words: which times they skip, move or repeat. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import takewhile

from manager.schedules.cron import instants_after, is_hourly, wall_times_after

MAX_NAMED = 3
_DAY = 86400
_YEAR_DAYS = 366


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What one change of the clock does.

    Attributes:
        at: the instant that runs instead, or that of the change (Unix time).
        text: what happens, for people.
    """

    at: float
    text: str


def clock_changes(expression: str, zone: tzinfo, now: float) -> list[ClockChange]:
    """Return what the changes of the coming year do to a valid expression.

    An expression for every hour follows the time that has passed: it is not affected.
    """
    if is_hourly(expression):
        return []
    found = (_effect(expression, zone, at, shift) for at, shift in _changes(zone, now))
    return [effect for effect in found if effect is not None]


def _changes(zone: tzinfo, now: float) -> Iterator[tuple[float, timedelta]]:
    """Yield when the clock changes, and by how much it is put forward."""
    for day in range(_YEAR_DAYS):
        low, high = int(now) + day * _DAY, int(now) + (day + 1) * _DAY
        before, after = _offset(zone, low), _offset(zone, high)
        if before == after:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
        yield float(high), after - before


def _effect(expression: str, zone: tzinfo, at: float, shift: timedelta) -> ClockChange | None:
    length = abs(shift)
    # The first wall time that does not exist, or that occurs twice.
    wall = datetime.fromtimestamp(at, zone).replace(tzinfo=None)
    first = wall - shift if shift > timedelta(0) else wall
    wall_times = wall_times_after(expression, first - timedelta(seconds=1))
    affected = list(takewhile(lambda each: each < first + length, wall_times))
    if not affected:
        return None
    names, day = _names(affected), f"{affected[0]:%Y-%m-%d}"
    one = len(affected) == 1
    if shift > timedelta(0):
        instant = next(instants_after(expression, zone, at - 1), None)
        verb = "does not exist" if one else "do not exist"
        if instant == at:
            return ClockChange(at, f"{names} {verb} on {day}: it runs at {wall:%H:%M} instead")
        return ClockChange(at, f"{names} {verb} on {day}: it does not run then")
    around = length.total_seconds()
    instants = takewhile(lambda each: each < at + around, instants_after(expression, zone, at - around - 1))
    runs = sum(1 for _ in instants)
    verb = "occurs twice" if one else "occur twice"
    first_instant = at - around + (affected[0] - first).total_seconds()
    which = "it runs the first time only" if runs <= len(affected) else "it runs both times"
    return ClockChange(first_instant, f"{names} {verb} on {day}: {which}")


def _names(times: list[datetime]) -> str:
    names = ", ".join(f"{each:%H:%M}" for each in times[:MAX_NAMED])
    return names if len(times) <= MAX_NAMED else f"{names} and {len(times) - MAX_NAMED} more"


def _offset(zone: tzinfo, instant: float) -> timedelta:
    return datetime.fromtimestamp(instant, UTC).astimezone(zone).utcoffset() or timedelta(0)
