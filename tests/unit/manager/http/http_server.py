"""A real server on a real socket whose routes need no queue, for tests of the HTTP edge."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import uvicorn
from uvicorn.server import ServerState

from manager.api_keys.table import KeyTable
from manager.http.access_log import AccessLog
from manager.http.asgi import UNDELIVERED, Application, Receive, Scope, Send, disconnect_watch, read_body, send_body
from manager.http.authentication import ApiKeyAuth
from manager.http.connection_limit import ConnectionLimit
from manager.http.deadlines import DEFAULT_DEADLINES, Deadlines
from manager.http.gateway import Gateway
from manager.http.host_check import HostCheck
from manager.http.request_origin import TrustedProxies
from manager.http.uvicorn_protocol import ManagerHttpProtocol
from manager.metrics.requests import Metrics
from tests.waiting import until_async

TEST_TIMEOUT_SECONDS = 60
MAX_BODY_BYTES = 1 << 24
DATE = b"Fri, 27 Nov 2026 00:00:00 GMT"


class Echo:
    """A fast route that answers with the request's body."""

    media_type = b"text/echo"

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        return await read_body(scope, receive, MAX_BODY_BYTES)


@dataclass
class Feed:
    """A fast route that hands out one of its entries, as pulls hand out results."""

    media_type = b"text/feed"
    entries: list[bytes] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        entry = self.entries.pop()
        scope[UNDELIVERED] = lambda: self.entries.append(entry)
        await self.may_answer.wait()
        return entry


class Long:
    """A fast route that answers when the client has gone, or sends nothing more."""

    media_type = b"text/long"

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        async with disconnect_watch(receive) as disconnect:
            await disconnect
        return b"nothing yet"


async def framework(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand for FastAPI: tell the method and the path, and do not read the body. `/stream` has no length."""
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for piece in (b"one", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
        return
    body = json.dumps([scope["method"], scope["path"]]).encode()
    await send_body(send, 200, body, b"application/json", [(b"location", b"/elsewhere")])


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Send in as few packets as possible."""
        self.writer.write(data)

    async def send_bytewise(self, data: bytes) -> None:
        """Send each byte in a packet of its own."""
        for position in range(len(data)):
            self.writer.write(data[position : position + 1])
            await asyncio.sleep(0)

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, fields and body of the next response."""
        status, fields = await self.head()
        if "content-length" in fields:
            return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        return status, fields, await self.reader.read()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return status and fields of the next response."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:-2])

    async def echo(self) -> bytes:
        """Return the body of the next response, which must be one of `Echo`."""
        status, fields, body = await self.response()
        assert (status, fields["content-type"]) == (200, "text/echo"), body
        return body

    async def rest(self) -> bytes:
        """Return everything until the server closes."""
        return await self.reader.read()


class Server:
    """The server and its clients."""

    def __init__(self, state: ServerState, feed: Feed, metrics: Metrics) -> None:
        self.state, self.feed, self.metrics = state, feed, metrics
        self.address: tuple[str, int] = ("", 0)
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        """Open a connection."""
        client = Client(*await asyncio.open_connection(*self.address))
        self._clients.append(client)
        return client

    @property
    def connections(self) -> list[ManagerHttpProtocol]:
        """The server's sides of the connections."""
        return [each for each in self.state.connections if isinstance(each, ManagerHttpProtocol)]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.writer.close()
        await until_async(partial(_is_empty, self.state.connections))


@asynccontextmanager
async def served(
    *,
    deadlines: Deadlines = DEFAULT_DEADLINES,
    limit: int | None = None,
    root_path: str = "",
    allowed_hosts: Collection[str] = (),
    keys: Collection[str] = ("key",),
    access_log: AccessLog | None = None,
    other_routes: Application = framework,
) -> AsyncIterator[Server]:
    """Yield a running server. By default it has keys, so that it checks no hosts; its routes need none."""
    metrics, feed = Metrics(), Feed()
    gateway = Gateway(
        {("PUT", "/echo"): Echo(), ("POST", "/feed"): feed, ("POST", "/long"): Long()},
        other_routes,
        HostCheck(allowed_hosts, has_keys=bool(keys)),
        ApiKeyAuth((), KeyTable()),
        metrics,
        access_log,
        TrustedProxies(()),
    )
    config = uvicorn.Config(gateway, lifespan="off", ws="none", log_config=None, root_path=root_path)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", DATE)]
    connection_limit = None if limit is None else ConnectionLimit(limit)
    server = Server(state, feed, metrics)
    listener = await asyncio.get_running_loop().create_server(
        lambda: ManagerHttpProtocol(config, state, {}, limit=connection_limit, deadlines=deadlines), "127.0.0.1", 0
    )
    server.address = listener.sockets[0].getsockname()
    try:
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            yield server
    finally:
        listener.close()
        await server.close()
        if access_log is not None:
            access_log.flush()


def put(body: bytes, version: str = "1.1", *headers: str, target: str = "/echo") -> bytes:
    """Return a request to `Echo`."""
    lines = [f"PUT {target} HTTP/{version}", "host: x", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*pieces: bytes) -> bytes:
    """Return a request to `Echo` with a chunked body."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"PUT /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


async def _is_empty(things: Collection[object]) -> bool:
    return not things
