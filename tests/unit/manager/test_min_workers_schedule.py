"""The schedule of minimum worker counts (WORKMANAGER_MIN_WORKERS_SCHEDULE)."""

import pytest

from manager.min_workers_schedule import parse_schedule
from scaler.policy import ScheduledMinimum

MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def minimum(workers: int, start: str, end: str, *days: int) -> ScheduledMinimum:
    """Return an entry for these days, every day if none is given."""
    return ScheduledMinimum(workers, minute_of_day(start), minute_of_day(end), days or tuple(range(7)))


def minute_of_day(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    return hour * 60 + minute


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", ()),
        ("1@00:00-24:00", (minimum(1, "00:00", "24:00"),)),
        ("4@mon-fri/08:30-18:00", (minimum(4, "08:30", "18:00", MON, TUE, WED, THU, FRI),)),
        (
            "2@Sat/09:00-10:00, 3@sun-mon/00:00-00:01",
            (minimum(2, "09:00", "10:00", SAT), minimum(3, "00:00", "00:01", MON, SUN)),
        ),
    ],
)
def test_entries_are_parsed(text: str, entries: tuple[ScheduledMinimum, ...]) -> None:
    assert parse_schedule(text) == entries


@pytest.mark.parametrize(
    "text",
    ["4", "4@8:00-9:00", "4@09:00-08:00", "4@00:00-24:01", "4@xyz/08:00-09:00", "-1@08:00-09:00", "4@08:60-09:00"],
)
def test_an_invalid_entry_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_schedule(text)
