"""What a request brings and how it is answered, on the level of ASGI."""

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
    """A route that bypasses the framework.

    Attributes:
        media_type: of its answer.
    """

    media_type: bytes

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        """The content of the answer, whose status is 200.

        Raises:
            Problem: the answer is another.
            JobQueueError: the queue is away or full.
            Disconnected: the client is gone.
        """


class Disconnected(Exception):
    """The client is gone: nobody waits for an answer."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that name (in lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def media_type(scope: Scope) -> str:
    """The body's media type in lower case, without its parameters; '' where none is given."""
    value = header(scope, b"content-type")
    return "" if value is None else value.partition(b";")[0].strip().lower().decode("latin-1")


def require_media_type(scope: Scope, allowed: Iterable[str]) -> None:
    """A body without a media type is taken as the first of `allowed`.

    Raises:
        Problem: 415.
    """
    names = tuple(allowed)
    given = media_type(scope)
    if given and given not in names:
        raise Problem(WRONG_MEDIA_TYPE, f"send the body as {names[0]}, not {given}", headers={"Accept": names[0]})


async def read_body(scope: Scope, receive: Receive, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Problem: 413, before the body is read where its length is declared.
        Disconnected: the client is gone.
    """
    check_length(scope, max_bytes)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        # The usual case: everything came in one piece.
        body: bytes = message.get("body", b"")
        if len(body) > max_bytes:
            raise payload_too_large(max_bytes)
        return body
    pieces = []
    left = max_bytes
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece = message.get("body", b"")
        left -= len(piece)
        if left < 0:
            raise payload_too_large(max_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()


async def stream_body(scope: Scope, receive: Receive, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes in.

    Raises:
        Problem: 413, before the body is read where its length is declared.
        Disconnected: the client is gone.
    """
    check_length(scope, max_bytes)
    left = max_bytes
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        piece: bytes = message.get("body", b"")
        left -= len(piece)
        if left < 0:
            raise payload_too_large(max_bytes)
        yield piece
        if not message.get("more_body", False):
            return


def check_length(scope: Scope, max_bytes: int) -> None:
    """Raises a Problem (413) where the declared length is too large."""
    declared = header(scope, b"content-length")
    if declared is None:
        return
    if not declared.isdigit():
        raise Problem(BAD_BODY, "Content-Length is not a number")
    if len(declared) > 18 or int(declared) > max_bytes:
        raise payload_too_large(max_bytes)


def payload_too_large(max_bytes: int) -> Problem:
    """413, naming the limit."""
    return Problem(TOO_LARGE, f"at most {max_bytes} bytes are taken", limit_bytes=max_bytes)


@asynccontextmanager
async def disconnect_watch(receive: Receive) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that ends when the client is gone. What is left of the body is passed over."""

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(until_gone())
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
    """Answers with one body."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def send_problem(send: Send, problem: Problem, instance: str) -> None:
    """Answers with problem details."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in problem.headers.items()]
    await send_body(send, problem.status, problem.to_json(instance), b"application/problem+json", headers)
