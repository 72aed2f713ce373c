"""The built-in job functions."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from worker_node.functions import MAX_BODY_BYTES, PermanentError, binary, http, noop, sha512, sleep


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


def test_noop_and_sleep_return_nothing() -> None:
    assert noop(1, a=2) is None  # type: ignore[func-returns-value]
    assert sleep(0) is None  # type: ignore[func-returns-value]
    with pytest.raises(ValueError, match="non-negative"):
        sleep(-1)
