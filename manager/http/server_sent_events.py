"""Server-sent events: their form, and what keeps proxies and clients from giving up on a stream."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from manager.http.asgi import HEAD
from manager.http.problems import TOO_MANY_STREAMS, Problem

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PING_SECONDS = 15.0
"""A stream that says nothing for so long says something: proxies give up on a connection after 50 s of silence."""
MAX_STREAM_SECONDS = 900.0
"""Then the client connects again, and its key or session is checked."""
MAX_STREAMS = 2000
"""Of changes of jobs, at one manager."""
CHECK_SECONDS = 5.0
"""How often a stream on which nothing happens is looked at: its key can have ended."""
RETRY = b"retry: 2000\n\n"
"""Tells a client to connect again so many milliseconds after a stream has ended."""


def ping(event_id: str = "") -> bytes:
    """Return what keeps a stream from looking dead. With an id, a client that connects again goes on behind it."""
    return b": ping\nid: %b\n\n" % event_id.encode() if event_id else b": ping\n\n"


def stream(request: Request, events: AsyncIterator[bytes], *, open_streams: int = 0) -> Response:
    """Return the answer that sends the events; for HEAD, its head alone.

    Raises:
        Problem: the manager has as many streams as it may have.
    """
    if HEAD in request.scope:
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    if open_streams >= MAX_STREAMS:
        detail = f"this manager has {MAX_STREAMS} open streams: use another manager, or GET /jobs/{{id}}?wait="
        raise Problem(TOO_MANY_STREAMS, detail, headers={"Retry-After": "5"})
    return StreamingResponse(events, headers=HEADERS, media_type=MEDIA_TYPE)


def event(name: str, data: Any, event_id: str = "") -> bytes:
    """Return an event with its data as JSON. A client that connects again sends the last id that it got."""
    identity = b"id: %b\n" % event_id.encode() if event_id else b""
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), identity, orjson.dumps(data))
