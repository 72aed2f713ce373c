"""`workmanager schedule`: what it prints for people, and files that it refuses before it sends anything."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.commands.schedule_file import read_schedule_file
from workmanager.errors import UsageError

SCHEDULE: dict[str, Any] = {
    "name": "nightly",
    "description": "At 02:30 every day (UTC)",
    "next": "2030-01-01T02:30:00Z",
    "last": None,
    "runs": 3,
    "missed": 2,
    "paused": {"at": "2029-12-31T00:00:00Z", "by": "env-1", "note": "later"},
}


def test_a_list_is_a_table_and_tells_what_is_missing(run: Run) -> None:
    unreadable = [{"name": "bad", "problem": "it cannot be read"}]
    answer = {"schedules": [SCHEDULE], "unreadable": unreadable, "shards_unavailable": 1}
    with ScriptedManager(Answer(answer)) as manager:
        code, output, errors = run("schedule", "list", "--url", manager.url)
    assert code == 0
    heading, row = output.splitlines()
    assert heading.split() == ["NAME", "DESCRIPTION", "NEXT", "LAST", "RUNS", "MISSED", "PAUSED"]
    assert row.split() == ["nightly", "At", "02:30", "every", "day", "(UTC)", "2030-01-01T02:30:00Z", "3", "2", "later"]
    assert errors.splitlines() == [
        "workmanager: bad: it cannot be read",
        "workmanager: shards that do not answer: 1; their schedules are missing",
    ]


def test_a_preview_is_a_sentence_and_instants_with_their_notes(run: Run) -> None:
    answer = {
        "description": "At 02:30 every day (Europe/Berlin)",
        "instants": [{"at": "2030-01-01T02:30:00+01:00", "note": None}],
        "clock_changes": [{"at": "2030-03-31T03:00:00+02:00", "note": "it runs at 03:00 instead"}],
    }
    with ScriptedManager(Answer(answer)) as manager:
        code, output, _ = run("schedule", "preview", "30 2 * * *", "--timezone", "Europe/Berlin", "--url", manager.url)
    assert code == 0
    assert output.splitlines() == [
        "At 02:30 every day (Europe/Berlin)",
        "2030-01-01T02:30:00+01:00",
        "clocks  2030-03-31T03:00:00+02:00  it runs at 03:00 instead",
    ]
    (request,) = manager.requests
    assert request.params == {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}


def test_nothing_is_changed_while_some_schedules_are_not_known(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text("schedules: {}")
    answer = {"schedules": [SCHEDULE], "unreadable": [], "shards_unavailable": 1}
    with ScriptedManager(Answer(answer)) as manager:
        code, _, errors = run("schedule", "apply", str(file), "--url", manager.url)
    assert (code, len(manager.requests)) == (1, 1)
    assert "nothing was changed" in errors


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must have one entry"),
        ("nightly: {}", "must have one entry"),
        ("schedules: []", "must have one entry"),
        ("schedules: {nightly: 5}", "is not a mapping"),
        ("schedules: {5: {}}", "is not a mapping"),
        ("schedules:\n  a: {cron: */5 * * * *}", "in quotes"),
        ("schedules:\n  a: {cron: @daily}", "in quotes"),
        ("schedules:\n  a: {}\n  b: {}\n  a: {}", "'a' is given twice"),
        ("schedules: !!python/object/apply:os.system [ls]", "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_list_of_schedules_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=reason):
        read_schedule_file(str(file))


def test_times_in_a_file_are_sent_as_they_were_meant(tmp_path: Path) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text("schedules:\n  a: {start: 2030-01-31T08:00:00+01:00, end: 2030-01-31T08:00:00Z, every: 15m}\n")
    found = read_schedule_file(str(file))["a"]
    assert (found["end"], found["every"]) == ("2030-01-31T08:00:00Z", "15m")
    assert found["start"] in ("2030-01-31T08:00:00+01:00", "2030-01-31T07:00:00Z")
