"""Real services on loopback addresses, and a name server whose answers a test decides.

A guard that permits 127.0.0.2 alone stands for one that permits public addresses: the others are then inside.
"""

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from outgoing.guard import Guard

PUBLIC = "127.0.0.2"
PRIVATE = "127.0.0.1"
SETTING = "WORKMANAGER_HTTP_ALLOW"


@pytest.fixture
def guard() -> Guard:
    return Guard.from_setting(SETTING, PUBLIC)


class Service:
    """Answers each connection with the parts that a function makes of the request's head, and keeps the heads."""

    def __init__(
        self, address: str, port: int, answer: Callable[[bytes], Iterable[bytes]], tls: ssl.SSLContext | None
    ) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._server = socket.create_server((address, port), family=family)
        self._answer = answer
        self._tls = tls
        self.port: int = self._server.getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}/"
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            # A client may break off at any point: that is what some tests are about.
            with connection, contextlib.suppress(OSError):
                secured = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                with secured:
                    head = secured.recv(65536)
                    self.requests.append(head)
                    for part in self._answer(head):
                        secured.sendall(part)


StartService = Callable[..., Service]


@pytest.fixture
def serve() -> Iterator[StartService]:
    """Start a service that answers with fixed bytes, or with what a function makes of the request."""
    with contextlib.ExitStack() as stack:

        def start(
            answer: bytes | Callable[[bytes], Iterable[bytes]] = b"",
            address: str = PUBLIC,
            port: int = 0,
            tls: ssl.SSLContext | None = None,
        ) -> Service:
            fixed = answer if isinstance(answer, bytes) and answer else ok(b"hello")
            service = Service(address, port, answer if callable(answer) else lambda _: [fixed], tls)
            stack.callback(service.close)
            return service

        yield start


def ok(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join(
        (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Connection: close", *headers, b"", body)
    )


def redirect(url: str) -> bytes:
    return ok(b"", b"Location: " + url.encode(), status=b"307 Temporary Redirect")


class Names:
    """Names and the addresses that they have at the first, second, … question; then the last ones again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.questions: Counter[str] = Counter()

    def look_up(self, name: str) -> list[str]:
        """Return the addresses, or raise the error of an unknown name."""
        if name not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        number = self.questions[name]
        self.questions[name] += 1
        return self.answers[name][min(number, len(self.answers[name]) - 1)]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """The names that exist. Addresses are still read by the system."""
    names, system = Names(), socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, flags: int = 0, **options: Any) -> Any:
        with contextlib.suppress(socket.gaierror):
            return system(host, port, *args, flags=flags | socket.AI_NUMERICHOST, **options)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not an address")
        addresses = names.look_up(host.decode() if isinstance(host, bytes) else host)
        return [found for each in addresses for found in system(each, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names
