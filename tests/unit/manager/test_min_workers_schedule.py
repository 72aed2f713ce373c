"""The schedule of warm workers, as an operator writes it."""

import pytest

from manager.min_workers_schedule import parse_schedule
from scaler.policy import ScheduledMinimum


@pytest.mark.parametrize(
    ("text", "floors"),
    [
        ("", ()),
        ("1@00:00-24:00", (ScheduledMinimum(1, 0, 1440),)),
        ("4@mon-fri/08:30-18:00", (ScheduledMinimum(4, 510, 1080, (0, 1, 2, 3, 4)),)),
        (
            "2@Sat/09:00-10:00, 3@sun-mon/00:00-00:01",
            (ScheduledMinimum(2, 540, 600, (5,)), ScheduledMinimum(3, 0, 1, (0, 6))),
        ),
    ],
)
def test_floors_are_read(text: str, floors: tuple[ScheduledMinimum, ...]) -> None:
    assert parse_schedule(text) == floors


@pytest.mark.parametrize(
    "text",
    ["4", "4@8:00-9:00", "4@09:00-08:00", "4@00:00-24:01", "4@xyz/08:00-09:00", "-1@08:00-09:00", "4@08:60-09:00"],
)
def test_what_is_no_floor_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_schedule(text)
