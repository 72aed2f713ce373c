"""Exit codes, and the one line that tells what to do; what a command does when its reader or its user goes."""

import errno
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.commands.exit_codes import EXIT_CODES
from workmanager.local import ports

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("status", "code"), [(400, 1), (401, 4), (403, 4), (404, 3), (409, 1), (413, 1), (422, 1), (500, 5), (501, 5)]
)
def test_an_exit_code_tells_scripts_what_went_wrong(run: Run, status: int, code: int) -> None:
    with ScriptedManager(Answer({"detail": "no"}, status)) as manager:
        ended, output, errors = run("job", "abc", "--url", manager.url)
    assert (ended, output, errors.count("\n")) == (code, "", 1)
    assert errors.startswith(f"workmanager: no (HTTP {status})")


@pytest.mark.parametrize("status", [429, 503])
def test_a_manager_that_cannot_for_now_has_a_code_of_its_own(
    run: Run, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workmanager.commands.arguments.RETRY_SECONDS", 0.01)
    with ScriptedManager(Answer({"detail": "no"}, status)) as manager:
        assert run("job", "abc", "--url", manager.url)[0] == 5


def test_without_a_manager_it_is_told_how_to_name_another(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workmanager.commands.arguments.RETRY_SECONDS", 0.01)
    code, output, errors = run("status", "--url", f"http://127.0.0.1:{ports.free_port()}")
    assert (code, output, errors.count("\n")) == (5, "", 1)
    assert "WORKMANAGER_URL" in errors


def test_without_a_key_it_is_told_how_to_give_one(run: Run) -> None:
    with ScriptedManager(Answer({"detail": "a key is needed"}, 401)) as manager:
        code, _, errors = run("status", "--url", manager.url)
    assert (code, errors.count("\n")) == (4, 1)
    assert "WORKMANAGER_API_KEY" in errors


def test_one_of_several_that_is_not_there_stops_no_other(run: Run) -> None:
    answers = [Answer({"id": "a"}), Answer({"detail": "no job b"}, 404), Answer({"id": "c"})]
    with ScriptedManager(*answers) as manager:
        code, output, errors = run("cancel", "a", "b", "c", "--json", "--url", manager.url)
    assert (code, output) == (3, '{"id":"a"}\n{"id":"c"}\n')
    assert errors == "workmanager: cannot cancel b: no job b (HTTP 404)\n"


def test_the_table_of_exit_codes_is_complete() -> None:
    document = (ROOT / "docs/command-line.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", document, re.MULTILINE)
    assert rows == [(str(code), meaning) for code, meaning in EXIT_CODES.items()]


def test_a_closed_pipe_ends_a_command_without_a_word() -> None:
    command = [sys.executable, "-m", "workmanager", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.wait(timeout=30), process.stderr.read()) == (141, b"")


def test_output_that_cannot_be_written_is_told_in_one_line() -> None:
    command = [sys.executable, "-m", "workmanager", "--help"]
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (1, "workmanager: the output: No space left on device\n")


def test_results_are_not_pulled_if_standard_output_is_closed() -> None:
    with ScriptedManager() as manager:
        command = [sys.executable, "-m", "workmanager", "pull", "--url", manager.url]
        ended = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, timeout=30, check=False)
        assert manager.requests == []
    assert (ended.returncode, ended.stderr.decode().split(":")[1]) == (2, " standard output is closed")


def test_a_program_may_run_without_standard_output() -> None:
    """As managers do that something starts with it closed."""
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "workmanager", "--version"]
    ended = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_an_error_that_is_not_of_the_output_is_not_told_as_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr("workmanager.commands.status.main", fail)
    with pytest.raises(ConnectionRefusedError):
        run("status")


@pytest.mark.parametrize(
    ("word", "meant"), [("statu", "'status'"), ("pause", "'queues' or 'schedule' or 'scaler'"), ("revoke", "'keys'")]
)
def test_an_unknown_command_is_told_with_the_one_that_was_meant(run: Run, word: str, meant: str) -> None:
    assert run(word) == (
        2,
        "",
        f"workmanager: unknown command '{word}'; did you mean {meant}? (see workmanager --help)\n",
    )


def test_a_list_ends_without_a_word_when_its_reader_has_enough() -> None:
    """As `workmanager jobs --json | head -1` does, whose output is more than a pipe holds."""
    jobs = [{"id": f"{number}", "meta": {"text": "x" * 1000}} for number in range(1000)]
    with ScriptedManager(Answer({"jobs": jobs, "cursor": None})) as manager:
        command = [sys.executable, "-m", "workmanager", "jobs", "--json", "--limit", "1000", "--url", manager.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline().startswith(b'{"id":"0"')
            process.stdout.close()
            assert (process.wait(timeout=30), process.stderr.read()) == (141, b"")


def test_an_interrupt_ends_a_command_without_a_word() -> None:
    with ScriptedManager(Answer(late_seconds=60)) as manager:
        command = [sys.executable, "-m", "workmanager", "job", "abc", "--wait", "50", "--url", manager.url]
        # A parent may ignore the signal, as a shell does for what it runs in the background.
        restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=restore) as process:
            assert manager.arrived.wait(timeout=30)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (130, b"", b"")
