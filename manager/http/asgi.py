"""Helpers for ASGI requests and responses: headers, bodies with a size limit, disconnects, problem details."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from manager.http.problems import BAD_BODY, TOO_LARGE, WRONG_MEDIA_TYPE, Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


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


class Disconnected(Exception):
    """The client has disconnected, so no response is needed."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first header of that lower-case name."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def raw_path(scope: Scope) -> str:
    """Return the path as it was sent, percent-encoded, so that it cannot break a log line."""
    return str(scope["raw_path"].decode("ascii", "backslashreplace"))


def media_type(scope: Scope) -> str:
    """Return the body's media type in lower case, without parameters; '' if the request names none."""
    value = header(scope, b"content-type")
    return "" if value is None else value.partition(b";")[0].strip().lower().decode("latin-1")


def require_media_type(scope: Scope, allowed: Iterable[str]) -> None:
    """Check the body's media type; a request without one passes.

    Raises:
        Problem: 415, the type is not one of `allowed`.
    """
    names = tuple(allowed)
    given = media_type(scope)
    if given and given not in names:
        raise Problem(WRONG_MEDIA_TYPE, f"send the body as {names[0]}, not {given}", headers={"Accept": names[0]})


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
    if declared is None:
        return
    if not declared.isdigit():
        raise Problem(BAD_BODY, "Content-Length is not a number")
    if len(declared) > 18 or int(declared) > max_bytes:
        raise payload_too_large(max_bytes)


def payload_too_large(max_bytes: int) -> Problem:
    """Return a 413 that names the limit."""
    return Problem(TOO_LARGE, f"the body must not exceed {max_bytes} bytes", limit_bytes=max_bytes)


@asynccontextmanager
async def disconnect_watch(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """Yield a task that ends when the client disconnects. It discards the rest of the body."""

    async def until_disconnected() -> None:
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
