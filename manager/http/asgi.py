"""Helpers for ASGI requests and responses: headers, bodies with a size limit, disconnects, problem details."""

import asyncio
import codecs
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol

from manager.http.problems import TOO_LARGE, WRONG_MEDIA_TYPE, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


FIELDS = "workmanager.fields"
"""Key of the scope: the header fields by lower-case name, see `request_head.read_fields`."""
REFUSAL = "workmanager.refusal"
"""Key of the scope of a request that is wrong as such: the `Problem`."""
HEAD = "workmanager.head"
"""Key of the scope of a HEAD request, whose method is GET for the routes."""
UNDELIVERED = "workmanager.undelivered"
"""Key of the scope, for routes: a function to call if the client did not take the response."""


class Route(Protocol):
    """A route that bypasses FastAPI.

    Attributes:
        media_type: of the response body.
    """

    media_type: bytes

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body of a response with status 200.

        Raises:
            Problem: the response is an error.
            JobQueueError: the queue is unavailable or full.
            Disconnected: the client has disconnected.
        """


class FastSend(Protocol):
    """ASGI's `send` with a cheaper way to send a complete response."""

    async def __call__(self, message: Message, /) -> None: ...

    def respond(self, media_type: bytes, content: bytes) -> Awaitable[None] | None:
        """Send a complete response with status 200. Await what is returned, if anything.

        Raises:
            Disconnected: the client did not take it.
        """


class Disconnected(Exception):
    """The client has disconnected, so no response is needed."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the field of that lower-case name."""
    value: bytes | None = scope[FIELDS].get(name)
    return value


def raw_path(scope: Scope) -> str:
    """Return the path as it was sent, percent-encoded, so that it cannot break a log line."""
    return str(scope["raw_path"].decode("ascii", "backslashreplace"))


def media_type(scope: Scope) -> str:
    """Return the body's media type in lower case, without parameters; '' if the request names none."""
    value = header(scope, b"content-type")
    return "" if value is None else value.partition(b";")[0].strip().lower().decode("latin-1")


def require_media_type(scope: Scope, allowed: Iterable[str]) -> None:
    """Check the body's media type. It must be named: a web page can send a body without one to any server.

    Raises:
        Problem: 415, the type is not one of `allowed`.
    """
    names = tuple(allowed)
    given = media_type(scope)
    if given not in names:
        detail = f"send the body as {names[0]}, not {given}" if given else f"send Content-Type: {names[0]}"
        raise Problem(WRONG_MEDIA_TYPE, detail, headers={"Accept": names[0]})


async def read_json(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Return the whole body, which is JSON in UTF-8, without a byte order mark.

    Raises:
        Problem: 415, 413.
        Disconnected: the client has disconnected.
    """
    require_media_type(scope, ("application/json",))
    return (await read_body(scope, receive, max_bytes)).removeprefix(codecs.BOM_UTF8)


async def read_optional_json(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Return the whole body as `read_json` does. Without one, that is an empty object, and needs no media type."""
    body = await read_body(scope, receive, max_bytes)
    if not body:
        return b"{}"
    require_media_type(scope, ("application/json",))
    return body.removeprefix(codecs.BOM_UTF8)


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        Problem: 413; before the body is read if Content-Length exceeds the limit.
        Disconnected: the client has disconnected.
    """
    check_length(scope, max_bytes)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        # The usual case: the body arrived in one piece.
        body: bytes = message.get("body", b"")
        if len(body) > max_bytes:
            raise payload_too_large(max_bytes)
        return body
    pieces = []
    bytes_left = max_bytes
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        bytes_left -= len(piece)
        if bytes_left < 0:
            raise payload_too_large(max_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()


async def stream_body(scope: Scope, receive: Receive, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body piece by piece.

    Raises:
        Problem: 413; before the body is read if Content-Length exceeds the limit.
        Disconnected: the client has disconnected.
    """
    check_length(scope, max_bytes)
    bytes_left = max_bytes
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece: bytes = message.get("body", b"")
        bytes_left -= len(piece)
        if bytes_left < 0:
            raise payload_too_large(max_bytes)
        yield piece
        if not message.get("more_body", False):
            return


def check_length(scope: Scope, max_bytes: int) -> None:
    """Raise a Problem (413) if Content-Length exceeds the limit."""
    declared = header(scope, b"content-length")
    # The parser has checked that it is a number. The limit is that of the decoded body.
    if declared is not None and int(declared) > max_bytes and header(scope, b"content-encoding") is None:
        raise payload_too_large(max_bytes)


def payload_too_large(max_bytes: int) -> Problem:
    """Return a 413 that names the limit."""
    return Problem(TOO_LARGE, f"the body must not exceed {max_bytes} bytes", limit_bytes=max_bytes)


@contextlib.asynccontextmanager
async def disconnect_watch(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """Yield a task that ends when the client disconnects, or sends nothing more. It discards the rest of the body."""

    async def until_disconnected() -> None:
        # A Problem: the rest of the body cannot be received, which ends the connection.
        with contextlib.suppress(Problem):
            while (await receive())["type"] != "http.disconnect":
                pass

    task = asyncio.create_task(until_disconnected())
    try:
        yield task
    finally:
        task.cancel()


async def send_body(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a response with one body."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, problem: Problem, instance: str) -> None:
    """Send problem details."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()]
    await send_body(send, problem.status, problem.to_json(instance), b"application/problem+json", headers)
