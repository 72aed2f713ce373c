"""HTTP/1.1 as uvicorn and httptools speak it, with our form of errors, a limit on headers, and a short way out.

The short way: around the content of a hot route's answer uvicorn takes two writes, a timer, and a look at each header,
which together cost a third of what the rest of it does. Here it is one write, and a connection has one timer.
"""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast
from weakref import ref

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from manager.exchange import Scope
from manager.problems import MEDIA_TYPE, Kind, Problem

MAX_HEAD_BYTES = 64 * 1024

ANSWER = "workmanager.answer"
"""The ASGI extension that answers a request with 200 and one piece of content: an `Answer`."""
Answer = Callable[[bytes, bytes], Awaitable[None]]
"""Takes the media type and the content."""

_NOT_HTTP = Kind(400, "not-http", "This is no HTTP request")
_HEAD_TOO_LARGE = Kind(431, "head-too-large", "The request's URL and headers are too large")


class Protocol(HttpToolsProtocol):
    """One connection."""

    _in_head = True
    _head_bytes = 0
    _idle_since: float | None = None
    _idle_timer: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Counts what comes before the end of a request's headers: the parser keeps it all."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(Problem(_HEAD_TOO_LARGE, f"at most {MAX_HEAD_BYTES} bytes are taken"))

    def on_headers_complete(self) -> None:
        """The request is about to be answered."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next request begins."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Waits for the next request, for a while.

        The timer of the wait before goes on, and looks at its end how long this one has lasted.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Closes the connection where it has been idle for long."""
        self._idle_timer = None
        if self._idle_since is None:
            return
        left_seconds = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_seconds > 0:
            self._idle_timer = self.loop.call_later(left_seconds, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be parsed."""
        self._refuse(Problem(_NOT_HTTP, msg))

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # By a weak reference: a request that refers to itself would wait for the garbage collector.
        scope = cast(Scope, cycle.scope)
        scope["extensions"] = {ANSWER: partial(_answer, ref(cycle))}
        super()._start_asgi_task(cycle, app)

    def _refuse(self, problem: Problem) -> None:
        body = problem.to_json()
        status_line = STATUS_LINE[problem.status]
        headers = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        self.transport.write(status_line + headers + body)
        self.transport.close()


async def _answer(reference: ref[RequestResponseCycle], media_type: bytes, content: bytes) -> None:
    """What the cycle's `send` does with two messages, for an answer whose headers are known to be right."""
    cycle = reference()
    assert cycle is not None, "a request lives until it is answered"
    if cycle.flow.write_paused and not cycle.disconnected:
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n" % (media_type, len(content), close)
    # A large content is not copied for the sake of the write.
    cycle.transport.writelines((head, content))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
