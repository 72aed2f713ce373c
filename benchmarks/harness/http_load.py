"""HTTP load from this process: keep-alive connections, driven by epoll, so that the generator costs little beside
what it measures.
"""

from __future__ import annotations

import itertools
import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import httptools

WARM_UP_SECONDS = 0.2
"""Of a closed loop: not counted."""
_RECEIVE_BYTES = 1 << 18
_SILENCE_SECONDS = 30.0


class Parser(Protocol):
    """What is used of httptools' parser, which has no types."""

    def feed_data(self, data: bytes) -> None: ...
    def get_status_code(self) -> int: ...


@dataclass(slots=True)
class LoadResult:
    """What came of a load.

    Attributes:
        seconds: from the first request to the last answer that counts.
        latencies: seconds, of each answer that counts, in the order of the answers.
        answers: how many there were in all, those of the warm-up included.
        late: how many requests of an open loop left more than 1 ms after their time, for want of a connection or of
            processor time here; their latency counts from their time all the same.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: int = 0
    late: int = 0

    @property
    def answers_per_second(self) -> float:
        """The rate."""
        return len(self.latencies) / self.seconds

    def milliseconds(self, share: float) -> float:
        """The latency that this share of the answers kept below."""
        return percentile(self.latencies, share) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def request(method: str, path: str, body: bytes = b"", content_type: str = "application/octet-stream") -> bytes:
    """One request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class UnexpectedAnswer(Exception):
    """An answer with another status than the benchmark counts on, or none."""


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_SILENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begun = 0.0
        self.body = b""
        self._pieces: list[bytes] = []
        self._complete = False
        self._parser: Parser = httptools.HttpResponseParser(self)

    def send(self, message: bytes, begun: float) -> None:
        """Sends a request, whose latency counts from `begun`."""
        self.begun = begun
        self.socket.sendall(message)

    def receive(self, status: int) -> bool:
        """Reads what has come; True when the answer is complete, its content then being `body`.

        Raises:
            UnexpectedAnswer: it has not this status, or the connection is closed.
        """
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise UnexpectedAnswer("the server closed the connection")
        self._parser.feed_data(data)
        if not self._complete:
            return False
        self.body = b"".join(self._pieces)
        self._pieces.clear()
        self._complete = False
        given = self._parser.get_status_code()
        if given != status:
            raise UnexpectedAnswer(f"status {given} instead of {status}: {self.body[:500]!r}")
        self._parser = httptools.HttpResponseParser(self)
        return True

    def exchange(self, message: bytes, status: int = 200) -> bytes:
        """One request and the content of its answer."""
        self.send(message, 0.0)
        while not self.receive(status):
            pass
        return self.body

    def on_body(self, piece: bytes) -> None:
        """Called by the parser."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self._complete = True


class LoadGenerator:
    """Connections to one server.

    Args:
        status: what every answer must have.
        on_answer: gets the content of each answer.
    """

    def __init__(
        self, port: int, connections: int, *, status: int = 200, on_answer: Callable[[bytes], None] | None = None
    ) -> None:
        self._connections = [Connection(port) for _ in range(connections)]
        self._by_fd = {connection.socket.fileno(): connection for connection in self._connections}
        self._status = status
        self._on_answer = on_answer
        self._poll = select.epoll()
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        """Closes them."""
        self._poll.close()
        for connection in self._connections:
            connection.socket.close()

    def closed_loop(self, requests: Iterable[bytes], *, warm_up_seconds: float, seconds: float) -> LoadResult:
        """Every connection sends the next request when it has its answer, until the time is over.

        It ends early when the requests do. All answers are awaited; those of the warm-up do not count, nor do those
        after the end.
        """
        source = iter(requests)
        load, clock = LoadResult(), time.perf_counter
        begin = clock() + warm_up_seconds
        end = begin + seconds
        busy, last = 0, begin
        for connection, message in zip(self._connections, source, strict=False):
            connection.send(message, clock())
            busy += 1
        while busy:
            for connection in self._answered(_SILENCE_SECONDS):
                now = clock()
                load.answers += 1
                if begin <= now <= end:
                    load.latencies.append(now - connection.begun)
                    last = now
                following = next(source, None) if now < end else None
                if following is None:
                    busy -= 1
                else:
                    connection.send(following, now)
        load.seconds = last - begin
        return load

    def open_loop(
        self, requests: Iterator[bytes], *, per_second: float, warm_up_seconds: float, seconds: float
    ) -> LoadResult:
        """Requests leave at their times, whether the server keeps up or not; latencies count from those times."""
        load, clock = LoadResult(), time.perf_counter
        start = clock()
        times = (start + number / per_second for number in range(int(per_second * (warm_up_seconds + seconds))))
        counts_from = start + warm_up_seconds
        free, busy, due = deque(self._connections), 0, next(times, None)
        while busy or due is not None:
            now = clock()
            while due is not None and due <= now and free:
                load.late += due >= counts_from and now - due > 0.001
                connection = free.popleft()
                connection.send(next(requests), due)
                busy += 1
                due = next(times, None)
            patience = _SILENCE_SECONDS if due is None or not free else max(0.0, due - clock())
            for connection in self._answered(patience, silence_is_fine=due is not None and bool(free)):
                load.answers += 1
                if connection.begun >= counts_from:
                    load.latencies.append(clock() - connection.begun)
                free.append(connection)
                busy -= 1
        load.seconds = clock() - counts_from
        return load

    def _answered(self, patience: float, *, silence_is_fine: bool = False) -> Iterator[Connection]:
        ready = self._poll.poll(patience)
        if not ready and not silence_is_fine:
            raise UnexpectedAnswer(f"no answer for {patience:.0f} s")
        for fd, _ in ready:
            connection = self._by_fd[fd]
            if connection.receive(self._status):
                if self._on_answer is not None:
                    self._on_answer(connection.body)
                yield connection


def repeat_forever(messages: Sequence[bytes]) -> Iterator[bytes]:
    """The same requests again and again."""
    return itertools.cycle(messages)
