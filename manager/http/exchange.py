"""One request and its response: ASGI's `receive` and `send`, and a cheaper way to send a complete response.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from manager.http.acknowledgements import Acknowledgements
from manager.http.asgi import Application, Disconnected, Message, Scope
from manager.http.problems import Problem
from manager.http.request_origin import REQUEST_ID

MAX_BUFFERED_BODY_BYTES = 64 * 1024
"""The connection is not read any further while more of the body than this waits for the route."""
MAX_COALESCED_BYTES = 16 * 1024
"""A larger body is not copied to save a write."""

NO_SNIFFING = b"x-content-type-options: nosniff\r\n"
SECURITY_FIELDS = b"cross-origin-resource-policy: same-origin\r\n" + b"referrer-policy: no-referrer\r\n" + NO_SNIFFING
"""For browsers: other sites must not embed a response, nor learn from links, nor read JSON as something else."""
NO_CONTENT_POLICY = b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
"""For responses that bring no policy of their own: if a browser shows one as a page, it loads nothing."""

_HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
    + NO_SNIFFING
    + b"%b\r\n"
)  # The last placeholder is for the field Connection.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DISCONNECT: Message = {"type": "http.disconnect"}

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What an exchange needs from its connection.

    Attributes:
        loop: the event loop.
        transport: where the response goes.
        is_write_paused: whether the client reads more slowly than responses are written.
        date: the value of the field Date.
        root_path: the path prefix under which clients reach the server; '' for none.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    is_write_paused: bool
    root_path: str

    @property
    def date(self) -> bytes: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    async def drain(self) -> None: ...
    def end_exchange(self, exchange: "Exchange") -> None: ...


class Exchange:
    """One request and its response.

    Args:
        scope: ASGI's description of the request.
        keep_alive: whether the connection stays open after the response.
        expects_continue: whether the client waits for `100 Continue` before it sends the body.

    Attributes:
        received: whether the whole body is here.
        received_bytes: of the body.
        disconnected: the response cannot be sent any more.
        half_closed: the client sends nothing more; it may wait for the response, or be gone.
        complete: the response has been written.
    """

    def __init__(self, connection: Connection, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.received = self.disconnected = self.half_closed = self.complete = self._hurried = False
        self.received_bytes = 0
        self._connection = connection
        self._expects_continue = expects_continue
        self._body: bytes | bytearray = b""
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Problem | None = None
        self._head: bytes | None = None
        self._is_chunked = False
        self._bytes_left: int | None = None

    async def run(self, app: Application) -> None:
        """Answer the request."""
        try:
            await app(self.scope, self.receive, self)
        except Exception:
            # The gateway answers the errors of routes, so this is an error of its own.
            log.exception("event=exchange_failed")
        finally:
            if not self.complete:
                self._connection.transport.abort()

    def add_body(self, piece: bytes) -> None:
        """Add a piece of the body."""
        if self._body:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        else:
            self._body = piece
        self.received_bytes += len(piece)
        if len(self._body) > MAX_BUFFERED_BODY_BYTES:
            self._connection.pause_reading()
        self._has_news = True
        self._wake()

    def end_body(self) -> None:
        """Note that the body is complete."""
        self.received = self._has_news = True
        self._wake()

    def half_close(self) -> None:
        """Note that the client sends nothing more: a route that waits should answer now."""
        self.half_closed = True
        self._wake()

    def hurry(self) -> None:
        """Note that too much has arrived behind the request to read on: a route that waits should answer now."""
        self._hurried = True
        self._wake()

    def fail(self, problem: Problem) -> None:
        """Let the route fail with the problem when it reads on: the rest of the body cannot be received."""
        self._failure = problem
        self._wake()

    def disconnect(self) -> None:
        """Note that the connection is lost."""
        self.disconnected = True
        self._wake()

    async def receive(self) -> Message:
        """Return the next piece of the body, or a disconnect; see ASGI.

        Raises:
            Problem: the rest of the body cannot be received.
        """
        if self._expects_continue:
            self._expects_continue = False
            if not self._has_news and not self._connection.transport.is_closing():
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._has_news:
            self._connection.resume_reading()
        if not (
            self._has_news or self.half_closed or self._hurried or self.disconnected or self.complete or self._failure
        ):
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None:
            raise self._failure
        if self.disconnected or self.complete or not self._has_news:
            return _DISCONNECT
        self._has_news = False
        body, self._body = bytes(self._body), b""
        return {"type": "http.request", "body": body, "more_body": not self.received}

    def respond(self, media_type: bytes, content: bytes) -> Awaitable[None] | None:
        """Send a complete response with status 200. Await what is returned, if anything.

        Raises:
            Disconnected: the client did not take it.
        """
        if self.disconnected:
            raise Disconnected
        if self.half_closed or self._connection.is_write_paused:
            return self._respond_slowly(media_type, content)
        self._write_response(media_type, content)
        self._end()
        return None

    async def __call__(self, message: Message) -> None:
        """Send a part of the response: this is ASGI's `send`."""
        if self._connection.is_write_paused and not self.disconnected:
            await self._connection.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._head = self._start(message)
            self._connection.loop.call_soon(self._flush_head)
        else:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))

    async def _respond_slowly(self, media_type: bytes, content: bytes) -> None:
        await self._connection.drain()
        if self.disconnected or self._connection.transport.is_closing():
            raise Disconnected
        acknowledgements = Acknowledgements(self._connection.transport) if self.half_closed else None
        self._write_response(media_type, content)
        is_refused = acknowledgements is not None and await acknowledgements.are_refused()
        self._end()
        if is_refused:
            raise Disconnected

    def _write_response(self, media_type: bytes, content: bytes) -> None:
        connection = self._connection
        if self.keep_alive and self.received:
            close = b""
        else:
            self.keep_alive, close = False, b"connection: close\r\n"
        head = _HEAD % (connection.date, media_type, len(content), self.scope[REQUEST_ID], close)
        if len(content) <= MAX_COALESCED_BYTES:
            connection.transport.write(head + content)
        else:
            connection.transport.writelines((head, content))

    def _start(self, message: Message) -> bytes:
        """Return the head of the response."""
        status: int = message["status"]
        lines = [STATUS_LINE[status], b"date: %b\r\n" % self._connection.date]
        policy = NO_CONTENT_POLICY
        has_no_content = status in (204, 304)
        for name, value in message.get("headers", ()):
            if _CONTROL.search(value):
                raise ValueError(f"the response's field {name!r} has a control character: {value!r}")
            if name == b"content-length":
                self._bytes_left = int(value)
            elif name == b"content-security-policy":
                policy = b""
            elif name == b"location" and value.startswith(b"/"):
                value = self._connection.root_path.encode("ascii") + value
            lines.append(b"%b: %b\r\n" % (name, value))
        if self._bytes_left is None and not has_no_content:
            # HTTP/1.0 knows no chunks: the body ends with the connection.
            self._is_chunked = self.scope["http_version"] != "1.0"
            self.keep_alive = self.keep_alive and self._is_chunked
            if self._is_chunked:
                lines.append(b"transfer-encoding: chunked\r\n")
        if not (self.keep_alive and self.received):
            self.keep_alive = False
            lines.append(b"connection: close\r\n")
        lines.append(b"x-request-id: %b\r\n" % self.scope[REQUEST_ID])
        return b"".join((*lines, SECURITY_FIELDS, policy, b"\r\n"))

    def _send_body(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head or b"", None
        if self._bytes_left is not None:
            self._bytes_left -= len(body)
            assert self._bytes_left >= 0, "the body is longer than its Content-Length"
        if self.scope["method"] == "HEAD":
            body = b""
        elif self._is_chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        if self._connection.transport.is_closing():
            return
        if len(body) <= MAX_COALESCED_BYTES:
            self._connection.transport.write(head + body)
        else:
            self._connection.transport.writelines((head, body))
        if not more:
            self._end()

    def _flush_head(self) -> None:
        """Send the head of a response whose body takes a while."""
        if self._head and not self.disconnected:
            self._connection.transport.write(self._head)
            self._head = None

    def _end(self) -> None:
        self.complete = True
        self._wake()
        self._connection.end_exchange(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
