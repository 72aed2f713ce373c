"""Sends log lines to a collector, from a thread with a bounded buffer: one that is away costs nothing but a counter."""

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

log = logging.getLogger(__name__)

MAX_BUFFERED_LINES = 10_000
"""When more wait, the oldest ones are dropped: the latest tell more."""
MAX_LINE_BYTES = 16 * 1024
MAX_DATAGRAM_BYTES = 2048
"""Of a line to syslog: what every receiver of RFC 5424 should take."""
BATCH_LINES = 200
CONNECT_SECONDS = SEND_SECONDS = 5.0
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 15.0
CLOSE_SECONDS = 2.0
"""How long a program that ends waits until the last lines are sent."""
SYSLOG_PORT = 514
_FACILITY = 3 << 3
"""System daemons."""
_SEVERITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class Line(NamedTuple):
    """A log line, and the level of its event."""

    level: int
    text: str


class Sink(Protocol):
    """Takes lines. Both methods raise OSError if the collector is away."""

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines, connecting first if necessary."""

    def close(self) -> None:
        """Close the connection, if there is one."""


def parse_collector(url: str) -> Sink:
    """Return what sends to a collector.

    Args:
        url: `tcp://HOST:PORT`: lines; `syslog://HOST[:PORT]`: datagrams of RFC 5424 over UDP; `syslog:///dev/log`: the
            same to a local socket.

    Raises:
        ValueError: it is none of these.
    """
    parts = urlsplit(url)
    wrong = ValueError("it must be tcp://HOST:PORT, syslog://HOST[:PORT] or syslog:///PATH")
    if parts.query or parts.fragment or parts.username is not None:
        raise wrong
    if parts.scheme == "tcp" and parts.hostname and parts.port and parts.path in ("", "/"):
        return TcpSink(parts.hostname, parts.port)
    if parts.scheme == "syslog" and parts.hostname and parts.path in ("", "/"):
        return SyslogSink(parts.hostname, parts.port or SYSLOG_PORT)
    if parts.scheme == "syslog" and not parts.netloc and len(parts.path) > 1:
        return SyslogSink(parts.path, None)
    raise wrong


class LogCollector:
    """Keeps lines until the thread has sent them.

    Attributes:
        dropped: lines that were dropped, since the start.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lines: deque[Line] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-collector", daemon=True)

    def start(self) -> None:
        """Start to send."""
        self._thread.start()

    def handler(self) -> logging.Handler:
        """Return the handler that takes all records. When it is closed, the last lines are sent."""
        return _Handler(self)

    def add(self, lines: Sequence[Line]) -> None:
        """Add lines. It never waits for the collector."""
        with self._changed:
            self._lines.extend(lines)
            self._drop_oldest()
            self._changed.notify()

    def close(self) -> None:
        """Send what is left, for a moment at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _drop_oldest(self) -> None:
        while len(self._lines) > MAX_BUFFERED_LINES:
            self._lines.popleft()
            self.dropped += 1

    def _run(self) -> None:
        failures, away_since, dropped_before = 0, 0.0, 0
        while (batch := self._next_batch()) is not None:
            try:
                self._sink.send(batch)
            except (OSError, UnicodeError) as error:  # The latter for a host whose name can be none.
                self._sink.close()
                if not failures:
                    away_since, dropped_before = time.monotonic(), self.dropped
                    log.warning("event=log_collector_unavailable error=%r", str(error))
                failures += 1
                if self._put_back(batch, min(MIN_RETRY_SECONDS * 2 ** min(failures, 10), MAX_RETRY_SECONDS)):
                    continue
                return
            if failures:
                failures = 0
                log.info(
                    "event=log_collector_available after_seconds=%.1f dropped=%d",
                    *(time.monotonic() - away_since, self.dropped - dropped_before),
                )
        self._sink.close()

    def _next_batch(self) -> list[Line] | None:
        with self._changed:
            while not self._lines:
                if self._closing:
                    return None
                self._changed.wait()
            return [self._lines.popleft() for _ in range(min(BATCH_LINES, len(self._lines)))]

    def _put_back(self, batch: Sequence[Line], seconds: float) -> bool:
        """Keep lines that were not sent, and wait; return whether to try again."""
        with self._changed:
            self._lines.extendleft(reversed(batch))
            self._drop_oldest()
            self._changed.wait_for(lambda: self._closing, seconds)
            return not self._closing


class TcpSink:
    """Lines over TCP, each ended by a line break. Those that a collector had not read when it broke down are lost."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._connection: socket.socket | None = None

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines. Some may arrive twice if it raises: they are sent again."""
        if self._connection is not None and _is_closed(self._connection):
            self.close()
        if self._connection is None:
            self._connection = socket.create_connection(self._address, CONNECT_SECONDS)
            self._connection.settimeout(SEND_SECONDS)
        self._connection.sendall(b"".join(_encoded(line.text, MAX_LINE_BYTES) + b"\n" for line in lines))

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class SyslogSink:
    """Datagrams of RFC 5424, over UDP or to a local socket.

    Args:
        host: or the path of a socket if there is no port.
    """

    def __init__(self, host: str, port: int | None) -> None:
        self._host, self._port = host, port
        self._connection: socket.socket | None = None
        self._head = f"{socket.gethostname()} workmanager - - - "

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines. Over UDP, nobody learns whether they arrive."""
        if self._connection is None:
            self._connection = self._connect()
        for line in lines:
            severity = next((number for level, number in _SEVERITIES if line.level >= level), 7)
            text = f"<{_FACILITY | severity}>1 - {self._head}{line.text}"
            self._connection.send(_encoded(text, MAX_DATAGRAM_BYTES))

    def close(self) -> None:
        """Close the socket."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> socket.socket:
        address: Any = self._host
        family = socket.AF_UNIX
        if self._port is not None:
            family, *_, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
        connection = socket.socket(family, socket.SOCK_DGRAM)
        connection.settimeout(SEND_SECONDS)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection


class _Handler(logging.Handler):
    def __init__(self, collector: LogCollector) -> None:
        super().__init__()
        self._collector = collector

    def emit(self, record: logging.LogRecord) -> None:
        # As text, a traceback has several lines. It is one event, so it stays one line.
        text = self.format(record).replace("\n", "\\n")
        self._collector.add([Line(record.levelno, text)])

    def close(self) -> None:
        self._collector.close()
        super().close()


def _is_closed(connection: socket.socket) -> bool:
    """Return whether the collector has closed a connection: what is sent then would be lost without a word."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            continue  # A collector may answer; nobody reads it.
    except BlockingIOError:
        return False
    finally:
        with suppress(OSError):
            connection.settimeout(SEND_SECONDS)
    return True


def _encoded(text: str, most_bytes: int) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:most_bytes]
