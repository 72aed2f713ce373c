"""Commands on many jobs: ids from standard input, and the question before something is lost."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager


def test_ids_are_read_from_lines_that_other_commands_print(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = 'a\n\n{"id": "b", "status": "failed"}\n{"Work ID": "c", "Value": null}\na\n'
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    with ScriptedManager(Answer({})) as manager:
        assert run("requeue", "-", "d", "--url", manager.url)[0] == 0
    assert [request.path for request in manager.requests] == [f"/jobs/{each}/requeue" for each in "abcd"]


def test_a_line_without_an_id_is_named_and_nothing_is_sent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('a\n{"name": "b"}\n'))
    with ScriptedManager() as manager:
        code, _, errors = run("cancel", "-", "--url", manager.url)
    assert (code, manager.requests) == (2, [])
    assert "line 2 of standard input has no field `id`" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("delete", "x"),
        ("keys", "revoke", "x"),
        ("schedule", "delete", "x"),
        ("operations", "start", "delete", "--queue", "x"),
        ("operations", "start", "cancel", "--queue", "x"),
    ],
)
def test_what_cannot_be_undone_needs_a_yes_where_nobody_can_be_asked(run: Run, arguments: tuple[str, ...]) -> None:
    with ScriptedManager() as manager:
        code, _, errors = run(*arguments, "--url", manager.url)
    assert (code, manager.requests) == (2, [])
    assert "--yes" in errors


@pytest.mark.parametrize(("answer", "code", "sent"), [(b"y\n", 0, 1), (b"n\n", 1, 0), (b"\n", 1, 0)])
def test_a_person_is_asked(answer: bytes, code: int, sent: int) -> None:
    with ScriptedManager() as manager:
        command = [sys.executable, "-m", "workmanager", "delete", "a", "b", "--url", manager.url]
        ours, theirs = pty.openpty()
        environ = {**os.environ, "TERM": "xterm"}
        with subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL, env=environ) as process:
            os.close(theirs)  # Then reading ends with the process, and does not hang.
            shown = b""
            while b"[y/N]" not in shown:
                shown += os.read(ours, 4096)
            os.write(ours, answer)
            assert process.wait(timeout=30) == code
        os.close(ours)
    assert shown.startswith(b"Delete 2 jobs?")
    assert len(manager.requests) == 2 * sent


def test_a_dry_run_counts_and_deletes_nothing(run: Run) -> None:
    with ScriptedManager(Answer({"id": "a"}), Answer({"detail": "no"}, 404)) as manager:
        code, output, errors = run("delete", "a", "b", "--dry-run", "--url", manager.url)
    assert (code, output, errors) == (0, "would_delete: 1\n", "workmanager: there is no job b\n")
    assert {request.method for request in manager.requests} == {"GET"}


def test_a_field_that_there_is_not_is_named_with_those_that_there_are(run: Run) -> None:
    with ScriptedManager(Answer({"Jobs": 1, "Workers": 2})) as manager:
        code, output, errors = run("status", "--fields", "jobs", "--url", manager.url)
    assert (code, output, errors) == (2, "", "workmanager: there is no field 'jobs'; there are Jobs, Workers\n")


def test_options_may_stand_before_the_command(run: Run) -> None:
    with ScriptedManager(Answer({"Jobs": 1})) as manager:
        assert run("--url", manager.url, "--json", "--fields=Jobs", "status") == (0, '{"Jobs":1}\n', "")
        assert run("--url", manager.url, "status") == (0, "Jobs: 1\n", "")
    code, _, errors = run("--nonsense", "status")
    assert (code, errors) == (2, "workmanager: unknown option --nonsense before the command (see workmanager --help)\n")


def test_a_result_is_not_pulled_for_a_field_that_there_is_not(run: Run) -> None:
    with ScriptedManager(Answer([{"Work ID": "a", "Value": 1}])) as manager:
        code, _, errors = run("pull", "--fields", "value", "--url", manager.url)
        assert (code, manager.requests) == (2, [])
        assert "there are Work ID, Value" in errors
        assert run("pull", "--json", "--fields", "Value", "--url", manager.url) == (0, '{"Value":1}\n', "")


@pytest.mark.parametrize("arguments", [("metrics",), ("listen",), ("submit", "--function", "noop")])
def test_fields_are_refused_where_they_choose_nothing(run: Run, arguments: tuple[str, ...]) -> None:
    with ScriptedManager() as manager:
        assert run(*arguments, "--fields", "id", "--url", manager.url)[0] == 2
    assert manager.requests == []


@pytest.mark.parametrize("command", [["job", ""], ["cancel", ""], ["schedule", "show", ""], ["workflow", "show", ""]])
def test_an_empty_id_is_wrong_usage_and_is_not_sent(run: Run, command: list[str]) -> None:
    with ScriptedManager() as manager:
        code, output, errors = run(*command, "--url", manager.url)
    assert (code, output, manager.requests) == (2, "", [])
    assert errors == "workmanager: an id or name is empty: give that of what you mean\n"


def test_the_id_of_what_was_submitted_is_printed_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_text('{"jobs": {"a": {"function": "noop"}}}')
    started = {"id": "x", "jobs": {"a": "1"}, "ended_at": None}
    submit = ["workflow", "submit", str(tmp_path / "jobs.json")]
    for command in (submit, ["operations", "start", "requeue", "--queue", "q"]):
        with ScriptedManager(Answer(started, 201)) as manager:
            assert run(*command, "-q", "--url", manager.url) == (0, "x\n", "")


@pytest.mark.parametrize("command", [["queues", "pause", "x"], ["queues", "resume", "x"], ["workers", "drain", "x"]])
def test_what_has_no_id_is_printed_by_its_name_alone(run: Run, command: list[str]) -> None:
    with ScriptedManager(Answer({"name": "x", "paused": True})) as manager:
        assert run(*command, "-q", "--url", manager.url) == (0, "x\n", "")
