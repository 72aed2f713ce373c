"""`workmanager top`: what a screen shows, once and live."""

import json
import os
import pty
import signal
import subprocess
import sys
from functools import partial
from typing import Any

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, Request, ScriptedManager
from workmanager.commands.top_screen import Snapshot, screen

STATUS = {"Jobs": 7, "Workers": 1, "completed": 3, "problems": ["queue 'b' is paused"]}
QUEUES = [
    {"name": name, "queued": queued, "started": 1, "scheduled": 0, "failed": 0, "served": True, "paused": name == "b"}
    for name, queued in (("a", 1), ("b", 6))
]
WORKER = {"name": "w", "state": "busy", "running": 1, "slots": 2, "finished": 10, "failed": 2, "queues": ["*"]}
SCALER: dict[str, Any] = {
    "leader": "h:1",
    "paused": False,
    "cost_per_hour": 0.34,
    "instances": [{"id": "i-1", "state": "busy", "type": "c7i"}],
    "decisions": [{"at": 60.0, "reason": "LAUNCH 1: 6 wait; queued=6"}, {"at": 0.0, "reason": "KEEP 0"}],
}
NOW = Snapshot(100.0, STATUS, QUEUES, [WORKER], SCALER)


def test_a_screen_shows_what_waits_what_runs_what_it_costs_and_why() -> None:
    before = Snapshot(98.0, STATUS, QUEUES, [WORKER | {"finished": 5}], SCALER)
    text = "\n".join(screen(NOW, before, None))
    for part in ("7 jobs", "1 of 2 slots busy", "2.5 ended/s", "3 results", "0.34 an hour", "at h:1"):
        assert part in text
    assert "   1 worker, " in text
    assert "\n1 instance   " in text
    assert "problem: queue 'b' is paused" in text
    assert text.index("\nb ") < text.index("\na "), "the longest queue comes first"
    assert "1970-01-01 00:01:00Z  LAUNCH 1: 6 wait" in text


def test_a_screen_fits_into_the_terminal_and_says_what_it_leaves_out() -> None:
    many = [{**QUEUES[0], "name": f"q{number}"} for number in range(50)]
    lines = screen(Snapshot(100.0, STATUS, many, [WORKER], SCALER), None, 24)
    assert len(lines) < 24
    assert any(line.startswith("… and ") for line in lines)
    assert any("LAUNCH 1" in line for line in lines)
    assert len(screen(NOW, None, 8)) == 7


def test_names_cannot_control_the_terminal() -> None:
    name = "\x1b[2Jq\n"
    evil = Snapshot(0.0, STATUS | {"problems": [name]}, [{**QUEUES[0], "name": name}], [], None)
    assert all(line.isprintable() for line in screen(evil, None, None))


def _answer(request: Request) -> Answer:
    bodies = {"/status": STATUS, "/queues": {"queues": QUEUES}, "/workers": {"workers": [WORKER]}, "/scaler": SCALER}
    return Answer(bodies[request.path])


def test_without_a_terminal_it_looks_once(run: Run) -> None:
    with ScriptedManager(routes=_answer) as manager:
        code, output, _ = run("top", "--url", manager.url)
        (line,) = run("top", "--once", "--json", "--fields", "status.Jobs,scaler", "--url", manager.url)[1].splitlines()
    assert code == 0
    assert "\x1b" not in output
    assert "QUEUES" in output
    assert json.loads(line) == {"status.Jobs": 7, "scaler": SCALER}


def test_a_key_that_is_bound_to_queues_sees_those(run: Run) -> None:
    def answer(request: Request) -> Answer:
        is_open = request.path in ("/status", "/queues")
        return _answer(request) if is_open else Answer({"detail": "it is bound to queues"}, 403)

    with ScriptedManager(routes=answer) as manager:
        code, output, _ = run("top", "--url", manager.url)
    assert code == 0
    assert "no workers" in output


def test_on_a_terminal_it_goes_on_until_it_is_interrupted_and_gives_the_screen_back() -> None:
    with ScriptedManager(routes=_answer) as manager:
        command = [sys.executable, "-m", "workmanager", "top", "--interval", "0.05", "--url", manager.url]
        ours, theirs = pty.openpty()
        # A parent may ignore the signal, as a shell does for what it runs in the background.
        restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        environ = {**os.environ, "TERM": "xterm"}
        with subprocess.Popen(command, stdout=theirs, env=environ, preexec_fn=restore) as process:
            os.close(theirs)
            shown = b""
            while shown.count(b"\x1b[H") < 3:
                shown += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            while b"\x1b[?1049l" not in shown:
                shown += os.read(ours, 65536)
            assert process.wait(timeout=30) == 0
        os.close(ours)
    assert shown.startswith(b"\x1b[?1049h")
    assert shown.rstrip().endswith(b"\x1b[?25h\x1b[?1049l")
