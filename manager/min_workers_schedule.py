"""Parse the schedule of minimum worker counts: `4@mon-fri/08:00-18:00, 1@00:00-24:00`, in UTC.

Entries are separated by commas. Each is WORKERS@[DAY[-DAY]/]HH:MM-HH:MM: the number of workers, the days (every day if
left out; a range can wrap around, `sat-mon`), and the time of day, which ends on the same day. If entries overlap, the
largest number counts.
"""

import re

from scaler.policy import ScheduledMinimum

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ENTRY = re.compile(r"(\d+)@(?:([a-z]{3})(?:-([a-z]{3}))?/)?(\d\d):([0-5]\d)-(\d\d):([0-5]\d)")


def parse_schedule(value: object) -> object:
    """Return the entries of a text; return any other value unchanged, for pydantic.

    Raises:
        ValueError: an entry is not WORKERS@[DAY[-DAY]/]HH:MM-HH:MM.
    """
    if not isinstance(value, str):
        return value
    return tuple(_parse_entry(part.strip()) for part in value.split(",") if part.strip())


def _parse_entry(text: str) -> ScheduledMinimum:
    match = _ENTRY.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"{text!r} is not WORKERS@[DAY[-DAY]/]HH:MM-HH:MM")
    workers, first, last, *clock = match.groups()
    from_hour, from_minute, to_hour, to_minute = map(int, clock)
    start, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if not start < end <= 24 * 60:
        raise ValueError(f"{text!r}: the end must be after the start, on the same day (24:00 at the latest)")
    return ScheduledMinimum(int(workers), start, end, _days(text, first, last or first))


def _days(text: str, first: str | None, last: str | None) -> tuple[int, ...]:
    if first is None or last is None:
        return tuple(range(7))
    if first not in _DAYS or last not in _DAYS:
        raise ValueError(f"{text!r}: unknown day; days are {', '.join(_DAYS)}")
    begin, end = _DAYS.index(first), _DAYS.index(last)
    return tuple(sorted((begin + day) % 7 for day in range((end - begin) % 7 + 1)))
