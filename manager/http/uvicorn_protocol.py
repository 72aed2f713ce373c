"""uvicorn's HTTP/1.1 protocol (httptools) with problem details for errors, a limit on headers, and a cheaper response.

For a response uvicorn makes two writes, sets a timer, and checks each header. Together this costs a third of its other
work on a request. Fast routes respond with one write here, and a connection has a single timer. uvicorn's code for
features that are switched off here is left out.

Hot path: see benchmarks/README.md#http_enqueue.
"""

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
"""A longer request target (path and query) is parsed again each time instead of cached."""
MAX_COALESCED_BYTES = 16 * 1024
"""A larger body is not copied to save a write."""

RESPOND_EXTENSION = "workmanager.respond"
"""Name of the ASGI extension that sends a complete response with status 200: a `Responder`."""
Responder = Callable[[bytes, bytes], Awaitable[None] | None]
"""Sends the media type and the body. If it returns an awaitable, await it: the client reads slowly."""

log = logging.getLogger(__name__)

_NOT_HTTP = ProblemType(400, "not-http", "This is not an HTTP request")
_HEAD_TOO_LARGE = ProblemType(431, "head-too-large", "The request's URL and headers are too large")


class ManagerHttpProtocol(HttpToolsProtocol):
    """One client connection."""

    answering: RequestResponseCycle
    """The request that is answered at the moment; later ones wait in the pipeline."""

    _in_head = True
    _head_bytes = 0
    _idle_since: float | None = None
    _idle_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # As in uvicorn.
        """Start a connection."""
        super().connection_made(transport)
        # A weak reference, because each request holds the extensions and the connection holds the request.
        self._extensions = {RESPOND_EXTENSION: partial(_respond, ref(self))}

    def data_received(self, data: bytes) -> None:
        """Parse the data, and limit the bytes before the end of the headers, all of which the parser keeps."""
        if self._in_head:
            self._head_bytes += len(data)
        self._idle_since = None
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            log.info("event=http_upgrade_ignored")
        except HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._reject(Problem(_HEAD_TOO_LARGE, f"URL and headers must not exceed {MAX_HEAD_BYTES} bytes"))

    def on_headers_complete(self) -> None:
        """Start to answer the request.

        As in uvicorn, without what is switched off here (root path, limit of concurrency, WebSockets).
        """
        self._in_head = False
        scope, parser, before = self.scope, self.parser, self.cycle
        version = scope["http_version"] = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        split = _split_target if len(self.url) > MAX_CACHED_TARGET_BYTES else _split_target_cached
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
        """Expect the head of the next request."""
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Answer the next request of the pipeline, or wait for one until the keep-alive timeout.

        A timer from an earlier wait keeps running. When it fires, it is set again for the rest of this wait.
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
        """Close the connection if it has been idle for the keep-alive timeout."""
        self._idle_timer = None
        if self._idle_since is None:
            return
        remaining_seconds = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if remaining_seconds > 0:
            self._idle_timer = self.loop.call_later(remaining_seconds, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the connection has closed."""
        super().connection_lost(exc)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be parsed."""
        self._reject(Problem(_NOT_HTTP, msg))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answering = cycle
        cast(Scope, cycle.scope)["extensions"] = self._extensions
        super()._start_asgi_task(cycle, app)

    def _reject(self, problem: Problem) -> None:
        body = problem.to_json()
        status_line = STATUS_LINE[problem.status]
        headers = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
        self.transport.write(status_line + headers + body)
        self.transport.close()


def _split_target(url: bytes) -> tuple[str, bytes, bytes]:
    """Return path, raw path and query string of a request target.

    Raises:
        HttpParserInvalidURLError, UnicodeDecodeError: not a valid target; raised in a parser's callback it means 400.
    """
    parsed = parse_url(url)
    return unquote(parsed.path.decode("ascii")), parsed.path, parsed.query or b""


# Most clients repeat a few targets.
_split_target_cached = lru_cache(1024)(_split_target)


def _respond(reference: ref[ManagerHttpProtocol], media_type: bytes, content: bytes) -> Awaitable[None] | None:
    connection = reference()
    assert connection is not None, "an unanswered request keeps its connection alive"
    cycle = connection.answering
    if cycle.flow.write_paused and not cycle.disconnected:
        return _write_after_drain(cycle, media_type, content)
    _write(cycle, media_type, content)
    return None


async def _write_after_drain(cycle: RequestResponseCycle, media_type: bytes, content: bytes) -> None:
    await cycle.flow.drain()
    _write(cycle, media_type, content)


def _write(cycle: RequestResponseCycle, media_type: bytes, content: bytes) -> None:
    """Do what the cycle's `send` does with two messages, for a response with known headers."""
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
