"""Log lines reach a collector; one that is away, or comes back, is in nobody's way."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from processes import log_collector
from processes.log_collector import Line, LogCollector, parse_collector
from tests.waiting import until

HOST = "127.0.0.1"


class Receiver:
    """A TCP collector. Bind it to the port of an earlier one to let that one come back."""

    def __init__(self, port: int = 0) -> None:
        self.lines: list[str] = []
        self._listener = socket.create_server((HOST, port))
        self.port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Go away: what is written to an open connection is lost, and no new one is taken."""
        for each in (self._listener, *self._connections):
            with suppress(OSError):  # It has gone away before.
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._read, args=(connection.makefile(),), daemon=True).start()

    def _read(self, lines: Iterator[str]) -> None:
        try:
            self.lines.extend(line.rstrip("\n") for line in lines)
        except (OSError, ValueError):
            return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_collector, "MIN_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(log_collector, "MAX_RETRY_SECONDS", 0.02)


def started(url: str) -> LogCollector:
    collector = LogCollector(parse_collector(url))
    collector.start()
    return collector


def texts(*names: str) -> list[Line]:
    return [Line(logging.INFO, name) for name in names]


def test_lines_arrive_in_order_and_the_last_ones_before_the_end(receiver: Receiver) -> None:
    collector = started(f"tcp://{HOST}:{receiver.port}")
    names = [f"line {number}" for number in range(5000)]
    collector.add(texts(*names))
    collector.close()
    until(lambda: len(receiver.lines) >= 5000, wanted="all lines")
    assert receiver.lines == names
    assert collector.dropped == 0
    assert not collector._thread.is_alive()


def test_the_latest_lines_are_kept_for_a_collector_that_is_away(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(log_collector, "MAX_BUFFERED_LINES", 10)
    receiver.close()
    collector = started(f"tcp://{HOST}:{receiver.port}")
    collector.add(texts("first"))
    until(lambda: "event=log_collector_unavailable" in caplog.text, wanted="a line about the outage")
    collector.add(texts(*(f"line {number}" for number in range(30))))
    until(lambda: collector.dropped == 21, wanted="dropped lines")
    back = Receiver(receiver.port)
    until(lambda: len(back.lines) >= 10, wanted="the lines that were kept")
    assert back.lines == [f"line {number}" for number in range(20, 30)]
    until(lambda: "event=log_collector_available" in caplog.text, wanted="a line about the end of the outage")
    assert caplog.text.count("event=log_collector_unavailable") == 1
    assert "dropped=21" in caplog.text
    collector.close()
    back.close()


def test_no_line_is_sent_into_a_connection_that_the_collector_has_closed(receiver: Receiver) -> None:
    collector = started(f"tcp://{HOST}:{receiver.port}")
    collector.add(texts("before"))
    until(lambda: receiver.lines == ["before"], wanted="the first line")
    receiver.close()
    back = Receiver(receiver.port)
    collector.add(texts("after"))
    until(lambda: back.lines == ["after"], wanted="the line after")
    collector.close()
    back.close()


def test_a_program_ends_although_its_collector_is_away(receiver: Receiver) -> None:
    receiver.close()
    collector = started(f"tcp://{HOST}:{receiver.port}")
    collector.add(texts("lost"))
    collector.close()
    assert not collector._thread.is_alive()


@pytest.mark.parametrize("local", [True, False])
def test_syslog_gets_datagrams_with_the_severity(tmp_path: Path, local: bool) -> None:
    with socket.socket(socket.AF_UNIX if local else socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(10)
        server.bind(str(tmp_path / "log") if local else (HOST, 0))
        collector = started(f"syslog://{tmp_path}/log" if local else f"syslog://{HOST}:{server.getsockname()[1]}")
        collector.add([Line(logging.ERROR, "broken"), Line(logging.INFO, "x" * 5000)])
        host = socket.gethostname()
        assert server.recv(4096).decode() == f"<27>1 - {host} workmanager - - - broken"
        assert len(server.recv(10_000)) == log_collector.MAX_DATAGRAM_BYTES
        collector.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tcp://host",
        "tcp://:514",
        "udp://host:1",
        "tcp://host:1/path",
        "syslog://",
        "tcp://h:99999",
        "host:1",
        "tcp://h:1?a=b",
        "tcp://u@h:1",
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be tcp://|[Pp]ort"):
        parse_collector(url)
