"""The built-in job functions."""

import base64
import contextlib
import gzip
import hashlib
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from jobqueue.model import MAX_RESULT_BYTES
from outgoing.answer import MAX_BODY_BYTES
from worker_node.functions import HTTP_ALLOW, PermanentError, binary, http, noop, sha512, sleep


@pytest.fixture(autouse=True)
def _local_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permit this machine's services. `tests/unit/outgoing` tests what is not permitted."""
    monkeypatch.setenv(HTTP_ALLOW, "127.0.0.1")


class _Service(BaseHTTPRequestHandler):
    """Answers with the status in the path and the request's body; /200/big with more than `http` keeps."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _, status, *rest = self.path.split("/")
        answer = b"x" * (MAX_BODY_BYTES + 1) if rest == ["big"] else body
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("X-Method", self.command)
        self.end_headers()
        self.wfile.write(answer)

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("data", "iterations"), [(b"", 1), (b"abc", 1), (b"abc", 2), (bytes(range(256)), 1000)])
def test_sha512_hashes_the_data_and_then_each_digest(data: bytes, iterations: int) -> None:
    expected = data
    for _ in range(iterations):
        expected = hashlib.sha512(expected).digest()
    assert sha512(data=data, iterations=iterations) == expected.hex()


@pytest.mark.parametrize("iterations", [0, -1, 10**9 + 1, 1.0, "2", True, None])
def test_sha512_rejects_an_invalid_number_of_iterations(iterations: object) -> None:
    with pytest.raises(ValueError, match="iterations must be an integer from 1"):
        sha512(data=b"", iterations=iterations)  # type: ignore[arg-type]


def test_a_binary_function_gets_bytes_from_base64_and_from_bytes() -> None:
    raw = bytes(range(256))
    text = base64.b64encode(raw).decode()
    assert sha512(data=text, iterations=1) == sha512(data=raw, iterations=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["a", "a===", "not base64!", "YWJj\n", "ä"])
def test_a_binary_function_rejects_text_that_is_not_base64(text: str) -> None:
    with pytest.raises(ValueError, match="'data' is not base64"):
        sha512(data=text, iterations=1)  # type: ignore[arg-type]


def test_binary_keeps_the_functions_name_and_module() -> None:
    @binary
    def count(data: bytes) -> int:
        return len(data)

    assert (count.__name__, count.__module__) == ("count", __name__)
    assert count(data="AAAA") == 3  # type: ignore[arg-type]


def test_http_returns_what_the_service_answered(service: str) -> None:
    answer = http(f"{service}/200", json={"a": 1})
    assert (answer["status"], json.loads(answer["body"]), answer["truncated"]) == (200, {"a": 1}, False)
    assert http(f"{service}/201", method="PUT", body="text")["headers"]["x-method"] == "PUT"


def test_http_keeps_a_bounded_part_of_a_large_answer(service: str) -> None:
    answer = http(f"{service}/200/big")
    assert (len(answer["body"]), answer["truncated"]) == (MAX_BODY_BYTES, True)


def test_http_errors_caused_by_the_request_are_permanent(service: str) -> None:
    with pytest.raises(PermanentError, match="answered 404: why"):
        http(f"{service}/404", body="why")
    with pytest.raises(PermanentError, match="cannot call"):
        http("gopher://127.0.0.1/")


def test_http_errors_caused_by_the_service_can_be_retried(service: str) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="answered 503"):
        http(f"{service}/503")
    with pytest.raises(httpx.ConnectError):
        http("http://127.0.0.1:1/")


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], tuple[str, list[bytes]]]]:
    """Start a service that sends fixed bytes to whoever asks; return its URL and the requests that it gets."""
    with contextlib.ExitStack() as stack:

        def start(answer: bytes) -> tuple[str, list[bytes]]:
            requests: list[bytes] = []
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        with connection:
                            requests.append(connection.recv(65536))
                            connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            return f"http://127.0.0.1:{server.getsockname()[1]}/", requests

        yield start


def _answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join(
        (b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), b"Connection: close", *headers, b"", body)
    )


@pytest.mark.parametrize(
    "charset",
    ["base64", "hex", "rot13", "idna", "punycode", "undefined", "nope", "", "a" * 5000, "'", '"utf-8', "../../x", "é"],
)
def test_http_reads_an_answer_of_an_unusable_charset_as_utf8(answering: Any, charset: str) -> None:
    url, requests = answering(_answer("café".encode(), b"Content-Type: text/plain; charset=" + charset.encode()))
    answer = http(url)
    assert (answer["status"], answer["body"], len(requests)) == (200, "café", 1)


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("latin-1", b"caf\xe9", "café"),
        ("utf-16", "café".encode("utf-16"), "café"),
        ("utf-8", b"caf\xe9", "caf\ufffd"),
        ("ascii", b"caf\xe9", "caf\ufffd"),
        ("utf-8", b"", ""),
    ],
)
def test_http_replaces_what_its_charset_cannot_decode(answering: Any, charset: str, raw: bytes, text: str) -> None:
    url, _ = answering(_answer(raw, b"Content-Type: text/plain; charset=" + charset.encode()))
    assert http(url)["body"] == text


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"plain", mtime=0)),
        ("x-gzip", gzip.compress(b"plain", mtime=0)),
        ("GZIP, identity", gzip.compress(b"plain", mtime=0)),
        ("deflate", zlib.compress(b"plain")),
        ("deflate", zlib.compress(b"plain")[2:-4]),
        ("identity", b"plain"),
    ],
)
def test_http_decompresses_answers(answering: Any, encoding: str, body: bytes) -> None:
    url, requests = answering(_answer(body, b"Content-Encoding: " + encoding.encode()))
    answer = http(url)
    assert (answer["body"], answer["truncated"], "decoding_error" in answer) == ("plain", False, False)
    assert b"accept-encoding: gzip, deflate\r\n" in requests[0].lower()


@pytest.mark.parametrize(
    ("encoding", "body", "text", "error"),
    [
        ("gzip", b"plain", "plain", "incorrect header check"),
        ("deflate", b"plain", "plain", "invalid"),
        ("br", b"plain", "plain", "only gzip and deflate"),
        ("gzip, gzip", b"plain", "plain", "only one encoding"),
        ("gzip", gzip.compress(b"plain", mtime=0)[:-9], "plain", "incomplete"),
    ],
)
def test_http_gives_an_answer_that_it_cannot_decompress_as_it_came(
    answering: Any, encoding: str, body: bytes, text: str, error: str
) -> None:
    url, requests = answering(_answer(body, b"Content-Encoding: " + encoding.encode()))
    answer = http(url)
    assert (answer["status"], answer["body"], len(requests)) == (200, text, 1)
    assert error in answer["decoding_error"]


def test_http_decompresses_only_what_it_keeps(answering: Any) -> None:
    url, _ = answering(_answer(gzip.compress(bytes(10_000_000)), b"Content-Encoding: gzip"))
    answer = http(url)
    assert (len(answer["body"]), answer["truncated"]) == (MAX_BODY_BYTES, True)


def test_the_result_of_http_is_never_too_large(answering: Any) -> None:
    headers = [b"X-%d: " % number + b"\xe9" * 1000 for number in range(60)]
    url, _ = answering(_answer(bytes(MAX_BODY_BYTES + 1), *headers))
    answer = http(url)
    assert len(json.dumps(answer)) < MAX_RESULT_BYTES
    assert (answer["headers"]["x-0"], answer["truncated"]) == ("é" * 1000, True)


@pytest.mark.parametrize("location", ["/", "http://[::1", "gopher://x", "http://x:99999999/"])
def test_http_does_not_follow_redirects_wherever_they_point(answering: Any, location: str) -> None:
    url, requests = answering(_answer(b"", b"Location: " + location.encode(), status=b"302 Found"))
    answer = http(url)
    assert (answer["status"], answer["headers"]["location"], len(requests)) == (302, location, 1)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nBad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
def test_http_does_not_ask_again_for_an_answer_that_is_not_http(answering: Any, answer: bytes) -> None:
    url, _ = answering(answer)
    with pytest.raises(PermanentError, match="answered with invalid HTTP"):
        http(url)


@pytest.mark.parametrize(
    "answer",
    [
        _answer(b"why", b"Content-Encoding: gzip", status=b"404 Not Found"),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 99\r\n\r\nwhy",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nContent-Type: text/plain; charset=hex\r\n\r\nwhy",
    ],
)
def test_a_4xx_answer_is_permanent_whatever_its_body_is(answering: Any, answer: bytes) -> None:
    url, _ = answering(answer)
    with pytest.raises(PermanentError, match="answered 404: why"):
        http(url)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"])
def test_http_can_be_retried_if_the_connection_breaks(answering: Any, answer: bytes) -> None:
    url, _ = answering(answer)
    with pytest.raises(httpx.RemoteProtocolError):
        http(url)


@pytest.mark.parametrize(
    "request_",
    [
        {"url": 5},
        {"url": ""},
        {"url": "http://\ud800/"},
        {"url": "http://x..y/"},
        {"url": "http://127.0.0.1:1/", "headers": {"a": 5}},
        {"url": "http://127.0.0.1:1/", "headers": {"a": "€"}},
        {"url": "http://127.0.0.1:1/", "body": "\ud800"},
        {"url": "http://127.0.0.1:1/", "timeout": "x"},
        {"url": "http://127.0.0.1:1/", "timeout": -1},
        {"url": "http://127.0.0.1:1/", "timeout": 1e300},
        {"url": "http://127.0.0.1:1/", "method": 5},
    ],
)
def test_an_invalid_request_is_permanent(request_: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match="cannot call"):
        http(**request_)


def test_noop_and_sleep_return_nothing() -> None:
    assert noop(1, a=2) is None  # type: ignore[func-returns-value]
    assert sleep(0) is None  # type: ignore[func-returns-value]
    with pytest.raises(ValueError, match="non-negative"):
        sleep(-1)
