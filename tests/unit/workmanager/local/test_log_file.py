"""Lines of the log are told apart by their level, in both formats; the file does not grow without bound."""

import os
from pathlib import Path

import pytest

from tests.waiting import until
from workmanager.local import log_file
from workmanager.local.log_file import LogFile, level_of


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-28T12:34:21.612Z INFO manager.server event=manager_listening\n", "INFO"),
        ("2026-11-28T12:34:21.612Z WARNING scaler.loop event=x\n", "WARNING"),
        ('{"ts": "2026-11-28T12:34:21.612Z", "level": "error", "event": "x"}\n', "ERROR"),
        ("Traceback (most recent call last):\n", None),
        ('{"level": \n', None),
        ("[]\n", None),
        ('{"ts": 1}\n', None),
    ],
)
def test_the_level_of_a_line(line: str, level: str | None) -> None:
    assert level_of(line) == level


def test_a_file_that_is_too_large_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "MAX_BYTES", 1000)
    path = tmp_path / "logs" / "workmanager.log"
    log = LogFile(path)
    try:
        os.write(2, b"2026-11-28T12:34:21.612Z INFO x event=earlier\n" * 30)
        until(lambda: path.with_name("workmanager.log.1").exists() and path.stat().st_size == 0)
        os.write(2, b"2026-11-28T12:34:21.612Z INFO x event=later\n")
    finally:
        log.close()
    assert "earlier" in path.with_name("workmanager.log.1").read_text()
    assert path.read_text().count("event=later") == 1
    assert os.fstat(2).st_ino != path.stat().st_ino
