"""A minimal ASGI application: reads the body and answers with a fixed Work ID, as an upper bound for /enqueue."""

from manager.http.asgi import Receive, Scope, Send

_BODY = b'{"Work ID":"0123456789abcdef0123456789abcdef"}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
}


async def app(_: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    while (await receive()).get("more_body", False):
        pass
    await send(_START)
    await send({"type": "http.response.body", "body": _BODY})
