"""What the function `http` refuses, and what its errors keep to themselves."""

import subprocess
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.unit.outgoing.conftest import PRIVATE, PUBLIC, Names, Service, StartService, ok
from worker_node.functions import HTTP_ALLOW, PermanentError, http

SECRET = "hush7531"


@pytest.fixture
def service(serve: StartService, monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv(HTTP_ALLOW, PUBLIC)
    return serve()


def test_without_a_setting_only_public_addresses_are_called(
    serve: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HTTP_ALLOW, raising=False)
    local = serve(address=PRIVATE)
    with pytest.raises(PermanentError) as caught:
        http(local.url)
    assert str(caught.value) == (
        f"cannot call http://127.0.0.1:{local.port}: '127.0.0.1' is a loopback address, and only public addresses are"
        f" called; to permit it, add 127.0.0.1:{local.port} to {HTTP_ALLOW}"
    )
    assert local.requests == []
    monkeypatch.setenv(HTTP_ALLOW, f"127.0.0.1:{local.port}")
    assert http(local.url)["body"] == "hello"


def test_a_call_that_is_refused_is_not_tried_again(serve: StartService, names: Names, service: Service) -> None:
    names.answers["rebinding.test"] = [[PRIVATE]]
    for host in ("rebinding.test", "169.254.169.254", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "10.0.0.1"):
        with pytest.raises(PermanentError, match="cannot call"):
            http(f"http://{host}:{service.port}/")


def test_a_redirect_to_the_metadata_service_is_an_answer(serve: StartService, service: Service) -> None:
    location = b"Location: http://169.254.169.254/latest/meta-data/"
    assert http(serve(ok(b"", location, status=b"302 Found")).url)["status"] == 302


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other.test"},
        {"host": "other.test"},
        {"Content-Length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"transfer-encoding": "identity"},
        {"Connection": "X-Secret"},
        {"Upgrade": "h2c"},
        {"TE": "trailers"},
        {"Trailer": "X"},
        {"Expect": "100-continue"},
        {"Proxy-Authorization": "Basic x"},
        {"X": "a\r\nHost: other.test"},
        {"X": "a\nb"},
        {"X": "a\rb"},
        {"X": "a\0b"},
        {"X": "a "},
        {"X": "ä"},
        {"X\r\nY": "a"},
        {"X:": "a"},
        {"X ": "a"},
        {"": "a"},
        {"Ä": "a"},
    ],
)
def test_headers_that_smuggle_a_request_are_refused(service: Service, headers: Mapping[str, str]) -> None:
    with pytest.raises(PermanentError, match=r"cannot call http://127\.0\.0\.2:\d+: .*header"):
        http(service.url, headers=headers)
    assert service.requests == []


@pytest.mark.parametrize(
    "headers",
    [{"X": "a b\tc"}, {"X": ""}, {"Authorization": "Bearer x"}, {"Content-Type": "text/plain; charset=utf-8"}],
)
def test_ordinary_headers_are_sent(service: Service, headers: Mapping[str, str]) -> None:
    assert http(service.url, headers=headers)["status"] == 200
    assert all(f"\r\n{name}: {value}\r\n".encode() in service.requests[0] for name, value in headers.items())


@pytest.mark.parametrize(
    "method", ["CONNECT", "connect", "GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "GET\r\n", "", "PÖST", 5]
)
def test_methods_that_smuggle_a_request_are_refused(service: Service, method: Any) -> None:
    with pytest.raises(PermanentError, match=r"cannot call .* method"):
        http(service.url, method=method)
    assert service.requests == []


@pytest.mark.parametrize("path", ["a\r\nX: y", "a b", "a HTTP/1.1\r\n\r\nGET /", "ä", "%0d%0aX:%20y"])
def test_a_path_cannot_end_the_request_line(service: Service, path: str) -> None:
    try:
        http(service.url + path)
    except PermanentError as error:
        assert "cannot call" in str(error)  # noqa: PT017 - either is right
        assert service.requests == []
    else:
        first_line = service.requests[0].split(b"\r\n")[0]
        assert first_line.count(b" ") == 2
        assert first_line.endswith(b" HTTP/1.1")


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        (f"http://user:{SECRET}@127.0.0.1:1/", {}),
        (f"http://user:{SECRET}@127.0.0.2:1/", {}),
        (f"http://127.0.0.1:1/hook/{SECRET}?token={SECRET}#{SECRET}", {}),
        (f"gopher://user:{SECRET}@127.0.0.2:1/{SECRET}", {}),
        (f"http://user:{SECRET}#x@127.0.0.2/", {}),
        (f"http://user:{SECRET}[x@127.0.0.2/", {}),
        (f"http://127.0.0.2:{SECRET}/", {}),
        (f"http://127.0.0.2:1/\x00{SECRET}", {}),
        (f"//user:{SECRET}@127.0.0.2/", {}),
        (f"user:{SECRET}", {}),
        (f"http://unknown.test/{SECRET}", {}),
        ("{service}", {"Authorization": f"Bearer {SECRET}\n"}),
        ("{service}", {"Authorization": f"Bearer {SECRET} "}),
        ("{service}", {"Authorization": f"Bearer {SECRET}é"}),
        ("{service}", {"Host": SECRET}),
        ("{answers 404}" + SECRET, {}),
        ("{answers 503}" + SECRET, {}),
        ("{breaks off}" + SECRET, {}),
        ("{is not HTTP}" + SECRET, {}),
    ],
)
def test_no_error_has_a_part_of_a_secret(
    service: Service, serve: StartService, names: Names, url: str, headers: Mapping[str, str]
) -> None:
    answers = {
        "{service}": ok(b"hello"),
        "{answers 404}": ok(b"why", status=b"404 Not Found"),
        "{answers 503}": ok(b"why", status=b"503 Service Unavailable"),
        "{breaks off}": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        "{is not HTTP}": b"hello\r\n\r\n",
    }
    for name, answer in answers.items():
        if url.startswith(name):
            url = serve(answer).url.replace("//", f"//user:{SECRET}@") + url.removeprefix(name)
    with pytest.raises((PermanentError, httpx.HTTPError)) as caught:
        http(url, headers=headers)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert str(caught.value)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://unknown.test:81/secret", "no answer from http://unknown.test:81: .*not known"),
        ("http://127.0.0.2:1/secret", "no answer from http://127.0.0.2:1: .*refused"),
        ("{breaks off}/secret", r"no answer from http://127.0.0.2:\d+: peer closed"),
        ("{is silent}/secret", r"no answer from http://127.0.0.2:\d+: .*(timed out|not done)"),
    ],
)
def test_a_service_that_does_not_answer_is_named(
    service: Service, serve: StartService, names: Names, url: str, error: str
) -> None:
    def silent(_: bytes) -> Any:
        while True:
            yield b"HTTP/1.1 103 Early Hints\r\n\r\n"

    if url.startswith("{breaks off}"):
        url = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").url
    elif url.startswith("{is silent}"):
        url = serve(silent).url
    # A busy machine can take longer than the shorter one to answer at all.
    timeout = 0.05 if "timed out" in error else 10
    with pytest.raises(httpx.TransportError, match=error) as caught:
        http(url, timeout=timeout)
    assert "secret" not in str(caught.value)


def test_an_answer_ends_ten_times_its_timeout_after_the_call(serve: StartService, service: Service) -> None:
    def interim(_: bytes) -> Any:
        while True:
            yield b"HTTP/1.1 103 Early Hints\r\n\r\n"

    with pytest.raises(httpx.TimeoutException):
        http(serve(interim).url, timeout=0.05)


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HTTP_ALLOW, "http://localhost")
    with pytest.raises(PermanentError, match=f"{HTTP_ALLOW}: 'http://localhost' is a URL"):
        http("http://127.0.0.1/")


def test_workers_start_without_the_http_client() -> None:
    """Importing it takes longer than starting an executor does otherwise."""
    modules = "worker_node.executor.__main__, worker_node.functions, worker_node.settings"
    program = f"import {modules}, sys; print([name for name in ('httpx', 'httpcore') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
