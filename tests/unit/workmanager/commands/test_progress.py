"""Progress on a terminal, and nowhere else."""

import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, Request, ScriptedManager
from workmanager.commands.progress_line import progress_text
from workmanager.local import ports


@pytest.mark.parametrize(
    ("done", "total", "seconds", "text"),
    [
        (0, None, 0.0, "0 jobs  0.0/s"),
        (12_345, None, 10.0, "12,345 jobs  1,234/s"),
        (0, 4, 1.0, "░" * 24 + "   0 %  0 of 4 jobs  0.0/s"),
        (1, 4, 2.0, "█" * 6 + "░" * 18 + "  25 %  1 of 4 jobs  0.5/s  0:06 left"),
        (10, 100_000, 1.0, "░" * 24 + "   0 %  10 of 100,000 jobs  10/s  2:46:39 left"),
        (4, 4, 2.0, "█" * 24 + " 100 %  4 of 4 jobs  2.0/s"),
    ],
)
def test_a_line_tells_how_many_how_fast_and_how_long(done: int, total: int | None, seconds: float, text: str) -> None:
    assert progress_text(done, total, "jobs", seconds) == text


def _accept_slowly(request: Request) -> Answer:
    """Accept the lines of a batch, each request later than a redraw."""
    lines = "".join('{"id": "a"}\n' for _ in request.body.splitlines())
    return Answer(lines, late_seconds=0.25)


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_submitting_many_lines_draws_progress_and_leaves_nothing_of_it(tmp_path: Path, terminal: str) -> None:
    file = tmp_path / "jobs.ndjson"
    file.write_bytes(b'{"function":"noop"}\n' * 1200)
    with ScriptedManager(routes=_accept_slowly) as manager:
        command = [sys.executable, "-m", "workmanager", "submit", "--batch", str(file), "--url", manager.url]
        ours, theirs = pty.openpty()
        shown = bytearray()
        reader = threading.Thread(target=_read_all, args=(ours, shown))
        reader.start()
        environ = {**os.environ, "TERM": terminal}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environ, check=True, timeout=60)
        os.close(theirs)
        reader.join(timeout=30)
        os.close(ours)
    assert done.stdout.count(b"\n") == 1200
    if terminal == "dumb":
        assert shown == b""
    else:
        assert b" of 1,200 jobs submitted" in shown
        assert shown.endswith(b"\r\x1b[K")


def _at_terminal(*arguments: str) -> tuple[bytes, bytes]:
    """Run a command whose standard error is a terminal; return what it prints, and what the terminal gets."""
    ours, theirs = pty.openpty()
    told = bytearray()
    reader = threading.Thread(target=_read_all, args=(ours, told))
    reader.start()
    environ = {**os.environ, "TERM": "xterm"}
    command = [sys.executable, "-m", "workmanager", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environ, check=True, timeout=60)
    os.close(theirs)
    reader.join(timeout=30)
    os.close(ours)
    return done.stdout, bytes(told)


def _read_all(descriptor: int, into: bytearray) -> None:
    """Read until the other end of a pseudo-terminal is closed."""
    try:
        while chunk := os.read(descriptor, 4096):
            into += chunk
    except OSError:
        return


JOBS = {
    "a": {"id": "a", "status": "finished", "result": {"n": 1}},
    "b": {
        "id": "b",
        "status": "failed",
        "error": {"reason": "exception", "message": "ValueError: no\nmore", "traceback": ""},
    },
    "c": {"id": "c", "status": "canceled"},
}


def _ended(request: Request) -> Answer:
    if request.path == "/jobs/wait":
        return Answer(
            {"done": True, "statuses": {name: JOBS[name]["status"] for name in json.loads(request.body)["ids"]}}
        )
    return Answer(JOBS[request.path.rpartition("/")[2]])


def test_of_several_jobs_each_value_is_a_line(run: Run) -> None:
    with ScriptedManager(routes=_ended) as manager:
        code, output, errors = run("wait", "a", "b", "c", "--url", manager.url)
    assert (code, errors) == (1, "")
    assert output == 'a  finished  {"n": 1}\nb  failed  exception: ValueError: no\nc  canceled\n'


def test_a_quiet_submission_waits_without_showing_the_jobs(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "jobs.ndjson"
    file.write_text('{"function": "noop", "id": "a"}\n{"function": "noop", "id": "b"}\n')

    def answer(request: Request) -> Answer:
        return Answer('{"id": "a"}\n{"id": "b"}\n') if request.path == "/jobs/batch" else _ended(request)

    with ScriptedManager(routes=answer) as manager:
        assert run("submit", "--batch", str(file), "-q", "--wait", "--url", manager.url) == (1, "a\nb\n", "")
        assert run("submit", "--batch", str(file), "-q", "--url", manager.url) == (0, "a\nb\n", "")


def test_a_person_is_told_that_a_list_is_empty() -> None:
    with ScriptedManager(Answer({"jobs": [], "cursor": None})) as manager:
        printed, told = _at_terminal("jobs", "--url", manager.url)
    assert (printed, told) == (b"", b"there is none\r\n")


def test_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    page = {"jobs": [{"id": "a", "status": "failed"}], "cursor": None}
    shown = {}
    with ScriptedManager(Answer(page)) as manager:
        for name, variables in {"plain": {"NO_COLOR": "1"}, "coloured": {"NO_COLOR": ""}}.items():
            ours, theirs = pty.openpty()
            command = [sys.executable, "-m", "workmanager", "jobs", "--url", manager.url]
            subprocess.run(command, stdout=theirs, env={**os.environ, "TERM": "xterm", **variables}, check=True)
            os.close(theirs)
            shown[name] = os.read(ours, 4096)
            os.close(ours)
    assert b"\x1b[31mfailed" in shown["coloured"]
    assert b"\x1b" not in shown["plain"]


def test_a_person_is_told_that_no_manager_answers_while_the_request_is_repeated() -> None:
    command = [sys.executable, "-m", "workmanager", "status", "--url", f"http://127.0.0.1:{ports.free_port()}"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(theirs)
        told = b""
        while b"\n" not in told:
            told += os.read(ours, 4096)
        process.kill()
    os.close(ours)
    assert told.startswith(b"workmanager: no answer from http://127.0.0.1:")
    assert b"trying again for" in told
