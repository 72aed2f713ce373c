"""Reads the schedule of warm workers: `4@mon-fri/08:00-18:00, 1@00:00-24:00`, in UTC."""

import re

from scaler.policy import ScheduledMinimum

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FLOOR = re.compile(r"(\d+)@(?:([a-z]{3})(?:-([a-z]{3}))?/)?(\d\d):([0-5]\d)-(\d\d):([0-5]\d)")


def parse_schedule(value: object) -> object:
    """The floors of a text; anything else unchanged.

    Raises:
        ValueError: part of it is not WORKERS@[DAY[-DAY]/]HH:MM-HH:MM.
    """
    if not isinstance(value, str):
        return value
    return tuple(_read(part.strip()) for part in value.split(",") if part.strip())


def _read(text: str) -> ScheduledMinimum:
    match = _FLOOR.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"{text!r} is not WORKERS@[DAY[-DAY]/]HH:MM-HH:MM")
    workers, first, last, *clock = match.groups()
    from_hour, from_minute, to_hour, to_minute = map(int, clock)
    start, end = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if not start < end <= 24 * 60:
        raise ValueError(f"{text!r} does not end after it begins, on the same day")
    return ScheduledMinimum(int(workers), start, end, _days(text, first, last or first))


def _days(text: str, first: str | None, last: str | None) -> tuple[int, ...]:
    if first is None or last is None:
        return tuple(range(7))
    if first not in _DAYS or last not in _DAYS:
        raise ValueError(f"{text!r}: days are {', '.join(_DAYS)}")
    begin, end = _DAYS.index(first), _DAYS.index(last)
    return tuple(sorted((begin + day) % 7 for day in range((end - begin) % 7 + 1)))
