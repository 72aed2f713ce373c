"""`workmanager up` on a terminal: a few lines for the person, the log in a file, warnings in both."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ports import pick_port
from tests.waiting import until


class Terminal:
    """`workmanager up` with a terminal as its standard error. `text` is what it shows."""

    def __init__(self, directory: Path, *options: str, **environ: str) -> None:
        self.text = ""
        self.url = f"http://127.0.0.1:{pick_port(consecutive=1)}"
        main, side = pty.openpty()
        command = [sys.executable, "-m", "workmanager", "up", "--managers", "1", "--port", self.url.rpartition(":")[2]]
        self.process = subprocess.Popen(
            [*command, "--data-dir", str(directory), *options],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=side,
            text=True,
        )
        os.close(side)
        threading.Thread(target=self._read, args=(main,), daemon=True).start()

    def _read(self, main: int) -> None:
        try:
            while shown := os.read(main, 65536):
                self.text += shown.decode()
        except OSError:  # the other end is closed
            pass
        os.close(main)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    started: list[Terminal] = []
    yield started
    for terminal in started:
        terminal.process.send_signal(signal.SIGINT)
        terminal.process.communicate(timeout=60)


def test_a_person_sees_a_few_lines_and_warnings_and_the_file_has_the_whole_log(
    terminals: list[Terminal], tmp_path: Path
) -> None:
    log = tmp_path / "workmanager.log"
    terminal = Terminal(tmp_path)
    terminals.append(terminal)
    assert terminal.process.stdout is not None
    assert terminal.process.stdout.readline() == f"ready {terminal.url}\n"
    until(lambda: "Ctrl-C" in terminal.text, wanted="what to do now")
    assert str(log) in terminal.text
    assert terminal.url in terminal.text
    assert "event=" not in terminal.text
    assert "event=manager_listening" in log.read_text()
    (pid,) = (int(line.rpartition("pid=")[2]) for line in log.read_text().splitlines() if "name=manager:" in line)
    os.kill(pid, signal.SIGKILL)
    until(lambda: "event=program_exited" in terminal.text, wanted="the warning")
    until(lambda: httpx.get(f"{terminal.url}/readyz").is_success if _listens(terminal.url) else False)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(60) == 0
    until(lambda: "stopping" in terminal.text, wanted="the last line")
    assert " INFO " not in terminal.text
    assert "event=manager_stopped" in log.read_text()


def test_with_verbose_a_person_sees_the_whole_log(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--verbose")
    terminals.append(terminal)
    until(lambda: "event=program_started" in terminal.text, wanted="the log")
    assert not (tmp_path / "workmanager.log").exists()


def test_a_person_sees_why_a_manager_has_not_started(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, WORKMANAGER_MAX_WORKERS="many")
    terminals.append(terminal)
    assert terminal.process.wait(60) == 2
    until(lambda: "workmanager: WORKMANAGER_MAX_WORKERS: " in terminal.text, wanted="the error")
    assert "(got 'many')" in terminal.text
    assert " INFO " not in terminal.text


def _listens(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False
