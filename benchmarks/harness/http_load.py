"""HTTP load generator over keep-alive connections, driven by epoll, so that it costs little processor time itself."""

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
"""Start of a closed loop that is not counted."""
_RECEIVE_BYTES = 1 << 18
_ANSWER_TIMEOUT_SECONDS = 30.0


class Parser(Protocol):
    """The used part of httptools' parser, which has no type hints."""

    def feed_data(self, data: bytes) -> None: ...
    def get_status_code(self) -> int: ...


@dataclass(slots=True)
class LoadResult:
    """The outcome of a load.

    Attributes:
        seconds: from the first request to the last counted answer.
        latencies: seconds of each counted answer, in the order of the answers.
        answers: number of all answers, including the warm-up.
        late: number of open-loop requests sent more than 1 ms after their scheduled time, because no connection or
            processor time was free here. Their latency counts from the scheduled time all the same.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    answers: int = 0
    late: int = 0

    @property
    def answers_per_second(self) -> float:
        """Counted answers per second."""
        return len(self.latencies) / self.seconds

    def milliseconds(self, share: float) -> float:
        """Return the latency that this share of the answers did not exceed, in milliseconds."""
        return percentile(self.latencies, share) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that at least this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def request(method: str, path: str, body: bytes = b"", content_type: str = "application/octet-stream") -> bytes:
    """Return one HTTP request as bytes."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class UnexpectedAnswer(Exception):
    """An answer had another status than the benchmark expects, or none came. The server's log says why."""


class Connection:
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.started_at = 0.0
        self.body = b""
        self._pieces: list[bytes] = []
        self._complete = False
        self._parser: Parser = httptools.HttpResponseParser(self)

    def send(self, message: bytes, started_at: float) -> None:
        """Send a request whose latency counts from `started_at`."""
        self.started_at = started_at
        self.socket.sendall(message)

    def receive(self, status: int) -> bool:
        """Read the bytes that have arrived. Returns True once the answer is complete; its content is then `body`.

        Raises:
            UnexpectedAnswer: the answer has another status, or the server closed the connection.
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
        """Send one request and return the content of its answer."""
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
    """Sends requests to one server over several connections.

    Args:
        status: expected status of every answer.
        on_answer: called with the content of each answer.
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
        """Close all connections."""
        self._poll.close()
        for connection in self._connections:
            connection.socket.close()

    def closed_loop(self, requests: Iterable[bytes], *, warm_up_seconds: float, seconds: float) -> LoadResult:
        """Send the next request on each connection as soon as its answer has come, until the time is over.

        Ends early when `requests` ends. Waits for all answers, but counts none of the warm-up and none after the end.
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
            for connection in self._answered(_ANSWER_TIMEOUT_SECONDS):
                now = clock()
                load.answers += 1
                if begin <= now <= end:
                    load.latencies.append(now - connection.started_at)
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
        """Send requests at fixed times even if the server does not keep up; latencies count from those times."""
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
            timeout = _ANSWER_TIMEOUT_SECONDS if due is None or not free else max(0.0, due - clock())
            for connection in self._answered(timeout, may_time_out=due is not None and bool(free)):
                load.answers += 1
                if connection.started_at >= counts_from:
                    load.latencies.append(clock() - connection.started_at)
                free.append(connection)
                busy -= 1
        load.seconds = clock() - counts_from
        return load

    def _answered(self, timeout: float, *, may_time_out: bool = False) -> Iterator[Connection]:
        ready = self._poll.poll(timeout)
        if not ready and not may_time_out:
            raise UnexpectedAnswer(f"no answer for {timeout:.0f} s")
        for fd, _ in ready:
            connection = self._by_fd[fd]
            if connection.receive(self._status):
                if self._on_answer is not None:
                    self._on_answer(connection.body)
                yield connection


def repeat_forever(messages: Sequence[bytes]) -> Iterator[bytes]:
    """Return the same requests again and again."""
    return itertools.cycle(messages)
