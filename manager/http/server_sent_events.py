"""Server-sent events: their form, and what keeps proxies and clients from giving up on a stream."""

from typing import Any

import orjson

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


def too_many_streams() -> Problem:
    """Return the 503 of a manager that has as many streams as it may have."""
    detail = f"this manager has {MAX_STREAMS} open streams: use another manager, or GET /jobs/{{id}}?wait="
    return Problem(TOO_MANY_STREAMS, detail, headers={"Retry-After": "5"})


def event(name: str, data: Any, event_id: str = "") -> bytes:
    """Return an event with its data as JSON. A client that connects again sends the last id that it got."""
    identity = b"id: %b\n" % event_id.encode() if event_id else b""
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), identity, orjson.dumps(data))
