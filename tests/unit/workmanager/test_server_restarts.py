"""The supervision of the embedded servers: a server that does not start again."""

import itertools
import logging
from pathlib import Path
from typing import cast

import pytest

from workmanager.errors import ServerError
from workmanager.local import ports
from workmanager.local.system import LocalSystem, LocalSystemConfig
from workmanager.local.valkey import ValkeyServer


class BrokenServer:
    """A server that has ended, and starts only if it is repaired."""

    port = 7

    def __init__(self) -> None:
        self.pid: int | None = None
        self.tries = 0
        self.is_repaired = False

    def start(self) -> None:
        self.tries += 1
        if not self.is_repaired:
            raise ServerError("Bad file format")
        self.pid = 1


def test_a_server_that_does_not_start_is_one_line_and_tried_every_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = itertools.count(100.0, 0.1)
    monkeypatch.setattr("workmanager.local.system.time.monotonic", lambda: next(seconds))
    config = LocalSystemConfig(ports.free_port(), 1, None, False, "redis://127.0.0.1:1", tmp_path)
    supervised = LocalSystem(config, stop_requested=lambda: False, stop_immediately=lambda: False)
    server = BrokenServer()
    caplog.set_level(logging.INFO)
    for _ in range(80):
        supervised._restart_servers_if_due(cast(ValkeyServer, server))
    assert 3 <= server.tries <= 6
    assert [message.split()[0] for message in caplog.messages] == ["event=valkey_exited", "event=valkey_restart_failed"]
    assert caplog.messages[1].endswith("port=7 error=Bad file format")
    assert "Traceback" not in caplog.text
    server.is_repaired = True
    while server.pid is None:
        supervised._restart_servers_if_due(cast(ValkeyServer, server))
    server.pid, server.is_repaired = None, False
    supervised._restart_servers_if_due(cast(ValkeyServer, server))
    assert len(caplog.messages) == 4
    supervised.stop()
