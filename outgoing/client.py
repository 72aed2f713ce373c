"""An HTTP client that connects only where a guard permits it, and takes nothing from this machine.

It is httpx's client with a network backend of its own for httpcore, which opens the connections: a host's name is
looked up once, all its addresses are judged, and one of them is connected to. So every redirect is judged, too, and a
name server that changes its answers gains nothing. TLS still verifies the name. Proxies, netrc files and Unix sockets
are not used.

Imports httpx, which takes longer than most jobs: import this module where it is needed.
"""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from outgoing.guard import Guard
from outgoing.resolve import resolve

WRITE_BYTES = 64 * 1024
"""How much is sent between two looks at the clock."""


def open_client(
    guard: Guard, *, timeout_seconds: float | None, total_seconds: float | None = None, **options: Any
) -> httpx.Client:
    """Return a client for one exchange. It follows no redirects unless `follow_redirects` is among the options.

    Its requests raise `AddressRefused` if the guard does not permit an address, and the errors of httpx.

    Args:
        timeout_seconds: how long a request waits without progress; None: for ever.
        total_seconds: how long everything may take that the client does, from now on; None: any time.
        options: arguments of `httpx.Client`, such as `headers`.
    """
    transport = GuardedTransport(_Backend(guard, _Deadline(total_seconds)))
    return httpx.Client(transport=transport, trust_env=False, timeout=timeout_seconds, **options)


class GuardedTransport(httpx.BaseTransport):
    """httpx's transport, with the network backend that httpx has no option for."""

    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._pool = httpcore.ConnectionPool(network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with httpx_errors():
            response = self._pool.handle_request(core_request(request))
        assert isinstance(response.stream, Iterable)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response.stream),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


def core_request(request: httpx.Request) -> httpcore.Request:
    """Return a request as httpcore has it.

    Raises:
        httpx.UnsupportedProtocol: it is not for http: or https:.
    """
    url = request.url
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol("the URL must begin with http:// or https://")
    return httpcore.Request(
        method=request.method,
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


@contextmanager
def httpx_errors() -> Iterator[None]:
    """Raise httpcore's errors as those of httpx, which have the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


class _Body(httpx.SyncByteStream):
    """The body of a response."""

    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with httpx_errors():
            yield from self._stream

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


class _Deadline:
    """The moment at which everything must be done."""

    def __init__(self, total_seconds: float | None) -> None:
        self._total_seconds = total_seconds
        self._at = time.monotonic() + total_seconds if total_seconds is not None else None

    def limit(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
        """Return a timeout that ends with the deadline at the latest; raise `error` if that is over."""
        if self._at is None:
            return timeout
        left = self._at - time.monotonic()
        if left <= 0:
            raise error(f"not done within {self._total_seconds:g} s")
        return left if timeout is None else min(timeout, left)


class _Backend(httpcore.NetworkBackend):
    """Opens connections that the guard permits."""

    def __init__(self, guard: Guard, deadline: _Deadline) -> None:
        self._guard = guard
        self._deadline = deadline
        self._connector = httpcore.SyncBackend()

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any) -> "_Stream":
        try:
            addresses = resolve(host, port, self._deadline.limit(timeout, httpcore.ConnectTimeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        self._guard.check(host, port, addresses)
        refusals: list[Exception] = []
        for address in addresses:
            limit = self._deadline.limit(timeout, httpcore.ConnectTimeout)
            try:
                stream = self._connector.connect_tcp(address, port, limit, *args, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refusals.append(error)
            else:
                return _Stream(stream, self._deadline)
        raise refusals[0]

    def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        raise httpcore.UnsupportedProtocol("Unix sockets are not called")


class _Stream(httpcore.NetworkStream):
    """A connection whose every step ends with the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.limit(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), WRITE_BYTES):
            part = buffer[start : start + WRITE_BYTES]
            self._stream.write(part, self._deadline.limit(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        limit = self._deadline.limit(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, limit), self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
