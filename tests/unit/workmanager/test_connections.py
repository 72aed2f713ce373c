"""How both clients connect: proxies, authorities, users in URLs, and connections that are used again."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.aio import AsyncClient
from workmanager.aio.transport import AsyncTransport
from workmanager.client import Client
from workmanager.errors import ClientError, Unavailable, UsageError
from workmanager.http.transport import Transport

EMPTY_LIST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
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


@BOTH
def test_a_path_in_front_of_the_api_may_have_any_letters(status: Status) -> None:
    with ScriptedManager(Answer({"Jobs": 1})) as manager:
        status(f"{manager.url}/auftr\u00e4ge%20hier")
    assert manager.requests[0].path == "/auftr%C3%A4ge%20hier/status"


@BOTH
def test_errors_do_not_show_the_password_of_a_url(status: Status) -> None:
    with ScriptedManager(Answer("<html>")) as manager, pytest.raises(ClientError) as not_json:
        status(manager.url.replace("http://", "http://user:pass@"))
    assert str(not_json.value).startswith(f"{manager.url}/status did not answer with JSON")
    with pytest.raises(Unavailable, match=r"^no answer from http://127\.0\.0\.1:1: "):
        status("http://user:pass@127.0.0.1:1")


def test_a_connection_is_used_again_unless_it_has_ended() -> None:
    """Also by a request that must not be sent twice, which fails if it goes into a connection that is over."""
    served: list[int] = []
    closed = threading.Event()

    def serve_twice(connection: socket.socket) -> None:
        served.append(0)
        for _ in range(2):
            if connection.recv(10_000):
                served[-1] += 1
                connection.sendall(EMPTY_LIST)
        connection.shutdown(socket.SHUT_RDWR)  # without having said so
        closed.set()

    with _manager(serve_twice) as url, Client(url) as client:
        assert [client.pull(), client.pull()] == [[], []]
        assert closed.wait(10)
        assert client.pull() == []
    assert served == [2, 1]


def test_a_fork_does_not_use_the_connections_of_its_parent() -> None:
    """Each could get the answer to the other's request."""
    code = """import os, sys
from workmanager.client import Client
client = Client(sys.argv[1])
client.pull()
if (fork := os.fork()) == 0:
    client.pull()
    os._exit(0)
os.waitpid(fork, 0)
client.pull()
"""
    served: list[int] = []
    with _manager(_count(served)) as url:
        subprocess.run([sys.executable, "-c", code, url], timeout=60, check=True)
    assert served == [2, 1]


def test_a_connection_is_used_again_if_no_further_file_can_be_opened() -> None:
    served: list[int] = []
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with _manager(_count(served)) as url, Client(url) as client:
        client.pull()
        resource.setrlimit(resource.RLIMIT_NOFILE, (4, before[1]))
        try:
            client.pull()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert served == [2]


def test_what_is_no_http_is_told_in_one_line() -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"-ERR unknown command\r\n")

    with _manager(refuse) as url, pytest.raises(Unavailable) as caught:
        _status(url)
    assert str(caught.value) == f"no answer from {url}: -ERR unknown command"


def _lines(url: str) -> list[str]:
    transport = Transport([url], None, retry_seconds=0.0)
    with transport.lines("/events") as lines:
        return list(lines)


def _lines_with_asyncio(url: str) -> list[str]:
    async def lines() -> list[str]:
        transport = AsyncTransport([url], None, retry_seconds=0.0)
        async with transport.lines("/events") as lines:
            found = [line async for line in lines]
        await transport.close()
        return found

    return asyncio.run(lines())


@pytest.mark.parametrize("lines", [_lines, _lines_with_asyncio], ids=["Client", "AsyncClient"])
def test_a_line_of_a_stream_has_any_characters_and_is_whole(lines: Callable[[str], list[str]]) -> None:
    """JSON has U+2028 and U+0085 as they are; `str.splitlines` ends lines there, too."""
    first, second = "data: \u20281\r\ndata: ".encode(), "\u00852\n\ndata: broken of".encode()

    def stream(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in (first, second):
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    with _manager(stream) as url:
        assert lines(url) == ["data: \u20281", "data: \u00852", ""]


def _enqueue(url: str, data: bytes) -> str:
    with Client(url, retry_seconds=0.0) as client:
        return client.enqueue(data, iterations=1)


def _enqueue_with_asyncio(url: str, data: bytes) -> str:
    async def enqueue() -> str:
        async with AsyncClient(url, retry_seconds=0.0) as client:
            return await client.enqueue(data, iterations=1)

    return asyncio.run(enqueue())


@pytest.mark.parametrize("enqueue", [_enqueue, _enqueue_with_asyncio], ids=["Client", "AsyncClient"])
def test_a_large_body_may_take_longer_than_the_timeout_while_it_moves(
    enqueue: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workmanager.http.transport.ANSWER_TIMEOUT_SECONDS", 1.0)
    body = b"x" * 40_000_000  # More than the buffers on the way hold, beside what is read slowly.

    def read_slowly(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while stream.readline() != b"\r\n":
                pass
            for _ in range(3):
                time.sleep(0.4)
                stream.read(5_000_000)
            assert len(stream.read(len(body) - 15_000_000)) == len(body) - 15_000_000
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"Work ID":"a"}')

    with _manager(read_slowly) as url:
        assert enqueue(url, body) == "a"


def test_a_refusal_arrives_although_the_body_is_not_read() -> None:
    """As of a manager, or a proxy before it, that refuses a large body by its head, and closes."""
    with _manager(_refuse_by_head) as url, Client(url) as client, pytest.raises(ClientError) as caught:
        client.enqueue(b"x" * 30_000_000, iterations=1)
    assert caught.value.status == 413


def _refuse_by_head(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")


def _count(served: list[int]) -> Callable[[socket.socket], None]:
    """Return what answers requests until the client closes, and counts those of each connection."""

    def serve(connection: socket.socket) -> None:
        index = len(served)
        served.append(0)
        while connection.recv(10_000):
            served[index] += 1
            connection.sendall(EMPTY_LIST)

    return serve


@contextmanager
def _manager(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serves two connections, and closes each when `serve` returns."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):  # The test is over.
                for _ in range(2):
                    connection, _ = server.accept()
                    threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

        def serve_one(connection: socket.socket) -> None:
            with connection:
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
