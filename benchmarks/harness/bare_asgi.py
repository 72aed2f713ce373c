"""The least that an ASGI application can do: it reads the body and answers with what an enqueue is answered with."""

from __future__ import annotations

from manager.http.asgi import Receive, Scope, Send

_BODY = b'{"Work ID":"0123456789abcdef0123456789abcdef"}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
}


async def app(_: Scope, receive: Receive, send: Send) -> None:
    """Answers one request."""
    while (await receive()).get("more_body", False):
        pass
    await send(_START)
    await send({"type": "http.response.body", "body": _BODY})
