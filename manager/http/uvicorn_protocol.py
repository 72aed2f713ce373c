"""HTTP/1.1 as uvicorn and httptools speak it, with our form of errors, a limit on headers, and a short way out.

The short way: around the content of a hot route's answer uvicorn takes two writes, a timer, and a look at each header,
which together cost a third of what the rest of it does. Here it is one write, and a connection has one timer. Around
the parser's calls uvicorn serves features that are switched off here; they are left out.
"""

from __future__ import annotations

import logging
from asyncio import Event, TimerHandle, Transport
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import Any, cast
from urllib.parse import unquote
from weakref import ref

from httptools import HttpParserError, HttpParserUpgrade, parse_url
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from manager.http.asgi import Scope
from manager.http.problems import MEDIA_TYPE, Problem, ProblemType

MAX_HEAD_BYTES = 64 * 1024
MAX_CACHED_TARGET_BYTES = 128
"""Of a request's target; a longer one is read each time."""
MAX_COALESCED_BYTES = 16 * 1024
"""A larger content is not copied for the sake of one write."""

RESPOND_EXTENSION = "workmanager.answer"
"""The ASGI extension that answers a request with 200 and one piece of content: an `Answer`."""
Responder = Callable[[bytes, bytes], Awaitable[None] | None]
"""Takes the media type and the content; what it returns, if anything, is to be awaited: the client takes its time."""

log = logging.getLogger(__name__)

_NOT_HTTP = ProblemType(400, "not-http", "This is no HTTP request")
_HEAD_TOO_LARGE = ProblemType(431, "head-too-large", "The request's URL and headers are too large")


class ManagerHttpProtocol(HttpToolsProtocol):
    """One connection."""

    answering: RequestResponseCycle
    """The request that is being answered; those behind it wait in the pipeline."""

    _in_head = True
    _head_bytes = 0
    _idle_since: float | None = None
    _idle_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # As uvicorn has it.
        """A client is here."""
        super().connection_made(transport)
        # By a weak reference: each request has them, and the connection has the request.
        self._extensions = {RESPOND_EXTENSION: partial(_answer, ref(self))}

    def data_received(self, data: bytes) -> None:
        """Counts what comes before the end of a request's headers: the parser keeps it all."""
        if self._in_head:
            self._head_bytes += len(data)
        self._idle_since = None
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            log.info("event=http_upgrade_ignored: the request is answered as one without")
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(Problem(_HEAD_TOO_LARGE, f"at most {MAX_HEAD_BYTES} bytes are taken"))

    def on_headers_complete(self) -> None:
        """The request is about to be answered.

        As in uvicorn, without what is switched off here (root path, limit of concurrency, WebSockets).
        """
        self._in_head = False
        scope, parser, before = self.scope, self.parser, self.cycle
        version = scope["http_version"] = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        split = _split_target if len(self.url) > MAX_CACHED_TARGET_BYTES else _split_again
        scope["path"], scope["raw_path"], scope["query_string"] = split(self.url)
        self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answering = cycle
        cast(Scope, cycle.scope)["extensions"] = self._extensions
        super()._start_asgi_task(cycle, app)

    def _refuse(self, problem: Problem) -> None:
        body = problem.to_json()
        status_line = STATUS_LINE[problem.status]
        headers = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        self.transport.write(status_line + headers + body)
        self.transport.close()


def _split_target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query string of a request's target.

    Raises:
        HttpParserInvalidURLError, UnicodeDecodeError: it is none; in a parser's callback this means 400.
    """
    parsed = parse_url(url)
    return unquote(parsed.path.decode("ascii")), parsed.path, parsed.query or b""


# Most clients send the same few targets.
_split_again = lru_cache(1024)(_split_target)


def _answer(reference: ref[ManagerHttpProtocol], media_type: bytes, content: bytes) -> Awaitable[None] | None:
    connection = reference()
    assert connection is not None, "a request that is not answered yet keeps its connection"
    cycle = connection.answering
    if cycle.flow.write_paused and not cycle.disconnected:
        return _write_in_time(cycle, media_type, content)
    _write(cycle, media_type, content)
    return None


async def _write_in_time(cycle: RequestResponseCycle, media_type: bytes, content: bytes) -> None:
    await cycle.flow.drain()
    _write(cycle, media_type, content)


def _write(cycle: RequestResponseCycle, media_type: bytes, content: bytes) -> None:
    """What the cycle's `send` does with two messages, for an answer whose headers are known to be right."""
    if cycle.disconnected:
        return
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n" % (media_type, len(content), close)
    if len(content) <= MAX_COALESCED_BYTES:
        cycle.transport.write(head + content)
    else:
        cycle.transport.writelines((head, content))
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
