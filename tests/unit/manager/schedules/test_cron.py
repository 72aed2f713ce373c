"""Instants of cron expressions, above all where clocks change; the examples of docs/schedules.md are among them."""

import re
from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path

import pytest

from manager.schedules.clock_changes import clock_changes
from manager.schedules.cron import check_cron, in_words, instants_after, next_after
from manager.schedules.zones import zone_of

PAGE = (Path(__file__).parents[4] / "docs/schedules.md").read_text()
NEW_YORK = zone_of("America/New_York")
NOW = datetime.fromisoformat("2026-11-28T00:00:00Z").timestamp()


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _rows(heading: str) -> list[tuple[str, ...]]:
    _, _, section = PAGE.partition(f"\n## {heading}\n")
    found = re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|(?: ([^|]+?) \|)?$", section.partition("\n## ")[0], re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize(("expression", "day", "documented"), _rows("Where clocks change"))
def test_the_documented_examples_run_as_documented(expression: str, day: str, documented: str) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK)
    end = (midnight + timedelta(days=1)).timestamp()
    found = takewhile(lambda each: each < end, instants_after(expression, NEW_YORK, midnight.timestamp() - 1))
    shown = [datetime.fromtimestamp(each, NEW_YORK).isoformat(timespec="minutes")[11:] for each in found]
    assert shown == ([] if documented == "not at all" else documented.replace("−", "-").split(", "))  # noqa: RUF001  # minus


@pytest.mark.parametrize(("expression", "documented", "_"), _rows("When it runs"))
def test_the_documented_examples_say_what_is_documented(expression: str, documented: str, _: str) -> None:
    assert in_words(expression) == documented


def test_in_the_second_of_two_equal_hours_no_instant_of_the_first_is_returned() -> None:
    in_first, in_second = unix("2026-11-01T01:10:00-04:00"), unix("2026-11-01T01:10:00-05:00")
    assert next_after("30 1 * * *", NEW_YORK, in_first) == unix("2026-11-01T01:30:00-04:00")
    assert next_after("30 1 * * *", NEW_YORK, in_second) == unix("2026-11-02T01:30:00-05:00")


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", ["30 1 * * *", "*/20 * * * *", "0,30 2 * * *", "*/30 2 * * *", "5 0 * * SUN"])
def test_wherever_it_is_begun_the_same_instants_follow(expression: str, zone: str) -> None:
    """Begun at any quarter of an hour around each change of the clock, it continues as if begun a day before."""
    changes = clock_changes("* 0,1,2,3 * * *", zone_of(zone), NOW)
    assert len(changes) == 2
    for change in changes:
        known = list(islice(instants_after(expression, zone_of(zone), change.at - 86400), 200))
        for quarter in range(-20, 21):
            start = change.at + quarter * 900 + 7
            assert next_after(expression, zone_of(zone), start) == known[bisect_right(known, start)]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("* * * *", "must have five fields"),
        ("0 * * * * *", "must have five fields"),
        ("@reboot", "must have five fields"),
        ("61 * * * *", "is not valid: bad minute"),
        ("5-1 * * * *", "is not valid: bad minute"),
        ("0 0 31 4 *", "is not valid: bad day-of-month"),
        ("* * */20 * 1L", "never occurs within 50 years"),
        ("* " * 200, "must have five fields"),
    ],
)
def test_an_invalid_expression_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        check_cron(expression, NEW_YORK, NOW)


def test_aliases_are_expressions() -> None:
    monday = unix("2026-11-30T00:00:00-05:00")
    assert next_after("@daily", NEW_YORK, monday - 1) == monday
    assert next_after("@weekly", NEW_YORK, monday) == unix("2026-12-06T00:00:00-05:00")
    assert next_after("@Hourly", NEW_YORK, monday) == monday + 3600


def test_there_is_no_instant_after_the_last_year() -> None:
    assert next_after("@yearly", NEW_YORK, unix("9999-06-01T00:00:00Z")) is None


@pytest.mark.parametrize(
    ("expression", "zone", "effects"),
    [
        (
            "30 2 * * *",
            "Europe/Berlin",
            [
                ("2027-03-28T03:00:00+02:00", "02:30 does not exist on 2027-03-28: it runs at 03:00 instead"),
                ("2027-10-31T02:30:00+02:00", "02:30 occurs twice on 2027-10-31: it runs the first time only"),
            ],
        ),
        (
            "*/15 2 * * *",
            "Europe/Berlin",
            [
                (
                    "2027-03-28T03:00:00+02:00",
                    "02:00, 02:15, 02:30 and 1 more do not exist on 2027-03-28: it does not run then",
                ),
                (
                    "2027-10-31T02:00:00+02:00",
                    "02:00, 02:15, 02:30 and 1 more occur twice on 2027-10-31: it runs both times",
                ),
            ],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",  # its clocks change by half an hour
            [("2027-04-04T01:45:00+11:00", "01:45 occurs twice on 2027-04-04: it runs the first time only")],
        ),
        ("0 12 * * *", "Europe/Berlin", []),
        ("*/5 * * * *", "Europe/Berlin", []),
        ("30 2 * * *", "UTC", []),
    ],
)
def test_changes_of_the_clock_are_told(expression: str, zone: str, effects: list[tuple[str, str]]) -> None:
    found = clock_changes(expression, zone_of(zone), NOW)
    assert [(datetime.fromtimestamp(each.at, zone_of(zone)).isoformat(), each.text) for each in found] == effects


def test_time_zones_do_not_come_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    zone_of.cache_clear()
    assert datetime.fromtimestamp(0, zone_of("Europe/Paris")).utcoffset() == timedelta(hours=1)
    for name in ("Europe/Nowhere", "../etc/passwd", "europe/paris", ""):
        with pytest.raises(ValueError, match="is not an IANA time zone"):
            zone_of(name)
