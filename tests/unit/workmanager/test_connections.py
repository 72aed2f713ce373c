"""How both clients connect: proxies, authorities, users in URLs, and connections that are used again."""

import asyncio
import os
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.aio import AsyncClient
from workmanager.client import Client
from workmanager.errors import ClientError, Unavailable, UsageError

Status = Callable[..., Any]
"""Asks for `/status` with one of the clients."""


def _status(urls: Any, key: str | None = None, *, retry_seconds: float = 0.0) -> Any:
    with Client(urls, key, retry_seconds=retry_seconds) as client:
        return client.status()


def _status_with_asyncio(urls: Any, key: str | None = None, *, retry_seconds: float = 0.0) -> Any:
    async def status() -> Any:
        async with AsyncClient(urls, key, retry_seconds=retry_seconds) as client:
            return await client.status()

    return asyncio.run(status())


BOTH = pytest.mark.parametrize("status", [_status, _status_with_asyncio], ids=["Client", "AsyncClient"])


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@BOTH
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_manager_is_reached_through_the_proxy_of_the_environment(
    status: Status, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedManager(Answer({"Jobs": 1})) as proxy:
        monkeypatch.setenv(name, proxy.url.replace("http://", "http://user:p%40ss@"))
        assert status("http://jobs.example.com/prefix") == {"Jobs": 1}
        (request,) = proxy.requests
        assert request.headers["Host"].removesuffix(":80") == "jobs.example.com"
        assert request.path == "/prefix/status"
        assert request.headers["Proxy-Authorization"] == f"Basic {b64encode(b'user:p@ss').decode()}"
        monkeypatch.setenv("NO_PROXY", "example.com")
        with pytest.raises(Unavailable):
            status("http://jobs.example.com:1")
    assert len(proxy.requests) == 1


@BOTH
def test_a_manager_over_https_is_reached_through_a_tunnel(status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        asked.append(connection.recv(10_000))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with _manager(refuse) as proxy_url:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url.replace("http://", "http://user:pass@"))
        with pytest.raises(Unavailable, match=r"no answer from https://jobs\.example\.com: "):
            status("https://jobs.example.com")
    assert asked[0].startswith(b"CONNECT jobs.example.com:443 HTTP/1.")
    assert b64encode(b"user:pass") in asked[0]


@BOTH
@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "https://127.0.0.1:8443"])
def test_a_proxy_that_cannot_be_used_is_refused(status: Status, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(UsageError, match=r"only http:// ones can be used. Set NO_PROXY=jobs.example.com"):
        status("http://jobs.example.com")


@BOTH
@pytest.mark.parametrize(("name", "value"), [("SSL_CERT_FILE", "/nowhere.pem"), ("SSL_CERT_FILE", __file__)])
def test_authorities_that_cannot_be_read_are_named(
    status: Status, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"{name}: {value} cannot be used"):
        status("https://127.0.0.1:1")


@BOTH
def test_a_user_in_the_url_is_sent_and_comes_before_the_key(status: Status) -> None:
    with ScriptedManager(Answer({"Jobs": 1})) as manager:
        status(manager.url.replace("http://", "http://user:pass@"), "a-key")
        status(manager.url, "a-key")
    sent = [request.headers["Authorization"] for request in manager.requests]
    assert sent == [f"Basic {b64encode(b'user:pass').decode()}", "Bearer a-key"]


def test_a_connection_is_used_again_unless_it_has_ended() -> None:
    """Also by a request that must not be sent twice, which fails if it goes into a connection that is over."""
    served: list[int] = []
    closed = threading.Event()

    def serve_twice(connection: socket.socket) -> None:
        served.append(0)
        for _ in range(2):
            if connection.recv(10_000):
                served[-1] += 1
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        connection.shutdown(socket.SHUT_RDWR)  # without having said so
        closed.set()

    with _manager(serve_twice) as url, Client(url) as client:
        assert [client.pull(), client.pull()] == [[], []]
        assert closed.wait(10)
        assert client.pull() == []
    assert served == [2, 1]


def test_a_refusal_arrives_although_the_body_is_not_read() -> None:
    """As of a manager, or a proxy before it, that refuses a large body by its head, and closes."""
    with _manager(_refuse_by_head) as url, Client(url) as client, pytest.raises(ClientError) as caught:
        client.enqueue(b"x" * 30_000_000, iterations=1)
    assert caught.value.status == 413


def _refuse_by_head(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def _manager(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serves two connections, one after the other, and closes each when `serve` returns."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
