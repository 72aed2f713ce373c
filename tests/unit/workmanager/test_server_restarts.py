"""The supervision of the embedded servers: a server that does not start again."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from workmanager.append_only.files import DIRECTORY
from workmanager.errors import ServerError, UnreadableFile
from workmanager.local.server_restarts import ServerRestarts
from workmanager.local.valkey import ValkeyServer


class BrokenServer:
    """A server that has ended, and starts only if it is repaired, or has no data."""

    port = 7

    def __init__(self, directory: Path, error: type[ServerError] = ServerError) -> None:
        self.directory = directory
        self.data = directory / DIRECTORY
        self.data.mkdir()
        self.pid: int | None = None
        self.tries = 0
        self.is_repaired = False
        self._error = error

    def start(self) -> None:
        self.tries += 1
        if not self.is_repaired and self.data.exists():
            raise self._error("Bad file format")
        self.pid = 1


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """A tenth of a second passes with each look at the clock."""
    seconds = itertools.count(100.0, 0.1)
    monkeypatch.setattr("workmanager.local.server_restarts.time.monotonic", lambda: next(seconds))
    return seconds


def _restarts(server: BrokenServer, *, pause_seconds: float = 0.0, served_elsewhere: bool = False) -> ServerRestarts:
    return ServerRestarts([cast(ValkeyServer, server)], pause_seconds, lambda _: served_elsewhere)


def test_a_server_that_does_not_start_is_one_line_and_tried_every_two_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = BrokenServer(tmp_path)
    restarts = _restarts(server)
    caplog.set_level(logging.INFO)
    for _ in range(80):
        restarts.restart_if_due()
    assert 3 <= server.tries <= 6
    assert [message.split()[0] for message in caplog.messages] == ["event=valkey_exited", "event=valkey_restart_failed"]
    assert caplog.messages[1].endswith("port=7 error=Bad file format")
    assert "Traceback" not in caplog.text
    server.is_repaired = True
    while server.pid is None:
        restarts.restart_if_due()
    server.pid, server.is_repaired = None, False
    restarts.restart_if_due()
    assert len(caplog.messages) == 4


def test_a_server_that_cannot_read_its_data_starts_empty_if_another_one_has_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = BrokenServer(tmp_path, UnreadableFile)
    restarts = _restarts(server, pause_seconds=10.0, served_elsewhere=True)
    for _ in range(90):
        restarts.restart_if_due()
    assert (server.pid, server.tries) == (None, 0)
    while server.pid is None:
        restarts.restart_if_due()
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("appendonlydir.unreadable-")
    assert caplog.messages[-1] == f"event=append_only_set_aside directory={tmp_path} moved_to={kept}"


@pytest.mark.parametrize(("error", "served_elsewhere"), [(UnreadableFile, False), (ServerError, True)])
def test_a_server_keeps_its_data_unless_they_are_unreadable_and_another_one_has_them(
    tmp_path: Path, error: type[ServerError], served_elsewhere: bool
) -> None:
    server = BrokenServer(tmp_path, error)
    restarts = _restarts(server, served_elsewhere=served_elsewhere)
    for _ in range(200):
        restarts.restart_if_due()
    assert list(tmp_path.iterdir()) == [server.data]
    assert server.tries > 1
