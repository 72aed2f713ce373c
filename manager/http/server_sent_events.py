"""Server-sent events: their form, and what keeps proxies and clients from giving up on a stream."""

from typing import Any

import orjson

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PING_SECONDS = 15.0
"""A stream that says nothing for so long says something: proxies give up on a connection after 50 s of silence."""
MAX_STREAM_SECONDS = 900.0
"""Then the client connects again, and its key or session is checked."""


def event(name: str, data: Any, event_id: str = "") -> bytes:
    """Return an event with its data as JSON. A client that connects again sends the last id that it got."""
    identity = b"id: %b\n" % event_id.encode() if event_id else b""
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), identity, orjson.dumps(data))
