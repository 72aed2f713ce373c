"""The client of `client.py` for asyncio, and for many exchanges. Limit what one may take with `asyncio.timeout`."""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from concurrent.futures import Executor
from typing import Any

import httpcore
import httpx

from outgoing.client import core_request, httpx_errors
from outgoing.guard import Guard
from outgoing.resolve import resolve

MAX_CONNECTIONS = 10
KEPT_SECONDS = 2.0
"""How long a connection is kept for the next request. Servers that close them first do so after five, as a rule."""


def open_async_client(
    guard: Guard,
    *,
    timeout_seconds: float | None,
    ssl_context: ssl.SSLContext | None = None,
    max_connections: int = MAX_CONNECTIONS,
    resolver: Executor | None = None,
    **options: Any,
) -> httpx.AsyncClient:
    """Return a client. It follows no redirects unless `follow_redirects` is among the options.

    Its requests raise `AddressRefused` if the guard does not permit an address, and the errors of httpx.

    Args:
        timeout_seconds: how long a request waits without progress; None: for ever.
        ssl_context: whom to trust. Without it, each https: connection loads the system's authorities anew.
        max_connections: at a time; more requests wait.
        resolver: its threads look up names; None: those of the loop.
        options: arguments of `httpx.AsyncClient`, such as `headers`.
    """
    transport = AsyncGuardedTransport(_AsyncBackend(guard, resolver), ssl_context, max_connections)
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout_seconds, **options)


class AsyncGuardedTransport(httpx.AsyncBaseTransport):
    """httpx's transport, with the network backend that httpx has no option for."""

    def __init__(
        self,
        backend: httpcore.AsyncNetworkBackend,
        ssl_context: ssl.SSLContext | None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            network_backend=backend,
            max_connections=max_connections,
            keepalive_expiry=KEPT_SECONDS,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with httpx_errors():
            response = await self._pool.handle_async_request(core_request(request))
        assert isinstance(response.stream, AsyncIterable)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_AsyncBody(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _AsyncBody(httpx.AsyncByteStream):
    """The body of a response."""

    def __init__(self, stream: AsyncIterable[bytes]) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with httpx_errors():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        if hasattr(self._stream, "aclose"):
            await self._stream.aclose()


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    """Opens connections that the guard permits."""

    def __init__(self, guard: Guard, resolver: Executor | None = None) -> None:
        self._guard = guard
        self._resolver = resolver
        self._connector = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's parameter
        *args: Any,
        **options: Any,
    ) -> httpcore.AsyncNetworkStream:
        try:
            lookup = asyncio.get_running_loop().run_in_executor(self._resolver, resolve, host, port, timeout)
            addresses = await lookup
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        self._guard.check(host, port, addresses)
        refusals: list[Exception] = []
        for address in addresses:
            try:
                return await self._connector.connect_tcp(address, port, timeout, *args, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refusals.append(error)
        raise refusals[0]

    async def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.UnsupportedProtocol("Unix sockets are not called")
