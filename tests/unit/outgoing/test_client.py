"""Each connection is judged: at first, after redirects, and whatever a name server answers later."""

import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpcore
import httpx
import pytest

from infra.certificates import make_certificates
from outgoing.client import open_client
from outgoing.guard import AddressRefused, Guard
from tests.unit.outgoing.conftest import PRIVATE, PUBLIC, Names, StartService, ok, redirect

IPV6 = "::1"


def _get(guard: Guard, url: str, **options: object) -> httpx.Response:
    with open_client(guard, timeout_seconds=10, **options) as client:  # type: ignore[arg-type]
        return client.get(url)


def test_a_permitted_service_is_called_by_address_and_by_name(guard: Guard, serve: StartService, names: Names) -> None:
    service = serve()
    names.answers["public.test"] = [[PUBLIC]]
    assert _get(guard, service.url).text == "hello"
    assert _get(guard, f"http://public.test:{service.port}/").text == "hello"
    assert b"\r\nHost: public.test:%d\r\n" % service.port in service.requests[1]


@pytest.mark.parametrize(
    "host", [PRIVATE, "127.1", "2130706433", "0x7f.0.0.1", "0177.1", "[::1]", "[::ffff:127.0.0.1]", "0", "localhost"]
)
def test_a_service_inside_gets_no_connection_however_its_address_is_written(
    guard: Guard, serve: StartService, host: str
) -> None:
    services = [serve(address=PRIVATE)]
    services.append(serve(address=IPV6, port=services[0].port))
    with pytest.raises(AddressRefused):
        _get(guard, f"http://{host}:{services[0].port}/")
    assert [service.requests for service in services] == [[], []]


def test_every_redirect_is_judged(guard: Guard, serve: StartService, names: Names) -> None:
    inside = serve(address=PRIVATE)
    names.answers["inside.test"] = [[PRIVATE]]
    names.answers["public.test"] = [[PUBLIC]]
    last = serve(redirect(f"http://inside.test:{inside.port}/"))
    second = serve(redirect(f"http://public.test:{last.port}/"))
    first = serve(redirect(second.url))
    with pytest.raises(AddressRefused, match=r"'inside.test' has a loopback address"):
        _get(guard, first.url, follow_redirects=True)
    assert [len(service.requests) for service in (first, second, last, inside)] == [1, 1, 1, 0]


def test_a_redirect_is_an_answer_unless_the_caller_wants_more(guard: Guard, serve: StartService) -> None:
    service = serve(redirect("http://127.0.0.1/"))
    assert _get(guard, service.url).status_code == 307


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "ws", "unix"])
def test_a_redirect_to_another_scheme_is_refused(guard: Guard, serve: StartService, scheme: str) -> None:
    service = serve(redirect(f"{scheme}://127.0.0.2:1/etc/passwd"))
    with pytest.raises(httpx.UnsupportedProtocol, match="must begin with http:// or https://"):
        _get(guard, service.url, follow_redirects=True)


def test_a_redirect_elsewhere_does_not_take_credentials_along(guard: Guard, serve: StartService) -> None:
    other = serve()
    service = serve(redirect(other.url))
    _get(guard, service.url.replace("//", "//user:hush@"), follow_redirects=True)
    assert b"\r\nAuthorization: Basic " in service.requests[0]
    assert b"authorization" not in other.requests[0].lower()


def test_a_name_is_looked_up_once_and_judged_by_that_answer(guard: Guard, serve: StartService, names: Names) -> None:
    port = serve().port
    inside = serve(address=PRIVATE, port=port)
    names.answers["rebinding.test"] = [[PUBLIC], [PRIVATE]]
    assert _get(guard, f"http://rebinding.test:{port}/").text == "hello"
    assert names.questions["rebinding.test"] == 1
    with pytest.raises(AddressRefused):
        _get(guard, f"http://rebinding.test:{port}/")
    assert inside.requests == []


def test_a_name_with_a_public_and_a_private_address_is_refused(guard: Guard, serve: StartService, names: Names) -> None:
    port = serve().port
    for number, addresses in enumerate(([PUBLIC, PRIVATE], [PRIVATE, PUBLIC], [PUBLIC, IPV6])):
        names.answers[f"{number}.test"] = [addresses]
        with pytest.raises(AddressRefused):
            _get(guard, f"http://{number}.test:{port}/")


def test_the_next_address_is_used_if_one_does_not_answer(serve: StartService, names: Names) -> None:
    service = serve()
    names.answers["two.test"] = [["127.0.0.3", PUBLIC]]
    assert _get(Guard.from_setting("X", "two.test"), f"http://two.test:{service.port}/").text == "hello"


def test_ipv6_services_are_called_and_judged_alike(serve: StartService, names: Names) -> None:
    service = serve(address=IPV6)
    names.answers["six.test"] = [[IPV6]]
    permitting = Guard.from_setting("X", f"[{IPV6}]:{service.port}")
    assert _get(permitting, service.url).text == "hello"
    assert _get(permitting, f"http://six.test:{service.port}/").text == "hello"
    with pytest.raises(AddressRefused, match="a loopback address"):
        _get(Guard.from_setting("X", ""), service.url)


def test_proxies_and_netrc_of_this_machine_are_not_used(
    guard: Guard, serve: StartService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy, service = serve(address=PRIVATE), serve()
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {PUBLIC} login user password hush\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert _get(guard, service.url).text == "hello"
    assert proxy.requests == []
    assert b"authorization" not in service.requests[0].lower()


def test_tls_proves_the_name_although_an_address_is_connected_to(
    guard: Guard, serve: StartService, names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, seen = "store.wm.workmanager.internal", []
    make_certificates("wm", "eu-west-1", tmp_path, datetime.now(UTC))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "store.pem")
    context.set_servername_callback(lambda _socket, server_name, _context: seen.append(server_name))
    service = serve(tls=context)
    names.answers |= {name: [[PUBLIC]], "other.test": [[PUBLIC]]}
    assert _get(guard, f"https://{name}:{service.port}/").text == "hello"
    assert seen == [name]
    assert b"\r\nHost: %s:%d\r\n" % (name.encode(), service.port) in service.requests[0]
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        _get(guard, f"https://other.test:{service.port}/")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        _get(guard, f"https://{PUBLIC}:{service.port}/")


def _drip(start: bytes, part: bytes) -> Iterator[bytes]:
    yield start
    while True:
        time.sleep(0.02)
        yield part


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
    ],
    ids=["status", "header", "interim answers", "body", "chunks", "trailers"],
)
def test_an_answer_that_drips_ends_with_the_deadline(
    guard: Guard, serve: StartService, start: bytes, part: bytes
) -> None:
    service = serve(lambda _: _drip(start, part))
    started = time.monotonic()
    with (
        pytest.raises(httpx.ReadTimeout),
        open_client(guard, timeout_seconds=30, total_seconds=0.5) as client,
    ):
        client.get(service.url)
    assert 0.4 < time.monotonic() - started < 5


def test_a_service_that_does_not_read_ends_with_the_deadline(guard: Guard, serve: StartService) -> None:
    over = threading.Event()
    service = serve(lambda _: [b"" for _ in range(1) if over.wait(60)])
    with open_client(guard, timeout_seconds=30, total_seconds=0.5) as client:
        with pytest.raises(httpx.TimeoutException):
            client.post(service.url, content=bytes(50_000_000))
        over.set()


def test_a_name_server_that_does_not_answer_ends_with_the_timeout(
    guard: Guard, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "look_up", lambda _: time.sleep(2))
    started = time.monotonic()
    with (
        pytest.raises(httpx.ConnectTimeout, match=r"the address of 'slow\.test'"),
        open_client(guard, timeout_seconds=0.2) as client,
    ):
        client.get("http://slow.test/")
    assert time.monotonic() - started < 1.5


def test_an_unknown_name_can_be_tried_again(guard: Guard, names: Names) -> None:
    with pytest.raises(httpx.ConnectError, match="not known"):
        _get(guard, "http://unknown.test/")


def test_headers_are_bounded(guard: Guard, serve: StartService) -> None:
    def endless(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X: " + b"x" * 1000 + b"\r\n"

    with pytest.raises(httpx.RemoteProtocolError):
        _get(guard, serve(endless).url)


def test_a_unix_socket_cannot_be_called(guard: Guard) -> None:
    with open_client(guard, timeout_seconds=1) as client:
        backend = client._transport._pool._network_backend  # type: ignore[attr-defined]
    with pytest.raises(httpcore.UnsupportedProtocol):
        backend.connect_unix_socket("/run/docker.sock")


def test_what_was_answered_before_the_deadline_is_kept(guard: Guard, serve: StartService) -> None:
    service = serve(ok(b"quick"))
    assert _get(guard, service.url, total_seconds=60).text == "quick"
