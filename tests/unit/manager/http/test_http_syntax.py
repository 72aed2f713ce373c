"""Every request is answered as RFC 9110 and RFC 9112 say, whatever is wrong with its head."""

import json

import pytest

from manager.http.request_reader import MAX_FIELDS, MAX_HEAD_BYTES, MAX_TARGET_BYTES
from tests.unit.manager.http.http_server import put, served

HOST = b"Host: x\r\n"
LATER = put(b"later")


def get(line: bytes, *fields: bytes, host: bytes = HOST) -> bytes:
    """Return a request without a body."""
    return line + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        # Request line: RFC 9112, 3.
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # the beginning of TLS
        (get(b"get / HTTP/1.1"), 501),
        (get(b"BREW / HTTP/1.1"), 501),
        (get(b"CONNECT x:80 HTTP/1.1"), 501),
        (get(b"GET / HTTP/2.0"), 505),
        (get(b"GET / HTTP/3.7"), 505),
        (b"GET /\r\n\r\n", 505),  # HTTP/0.9
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (get(b"GET / HTTP/1.10"), 400),
        (get(b"GET / http/1.1"), 400),
        (get(b"GET /a b HTTP/1.1"), 400),
        (get(b"GET /a\xff HTTP/1.1"), 400),
        (get(b"GET /a\x00 HTTP/1.1"), 400),
        (get(b"GET /a#b HTTP/1.1"), 400),
        (get(b"GET /%zz HTTP/1.1"), 400),
        (get(b"GET /?a=%2 HTTP/1.1"), 400),
        (get(b"GET nothing HTTP/1.1"), 400),
        (get(b"GET * HTTP/1.1"), 400),
        (get(b"GET http:///a HTTP/1.1"), 400),
        (get(b"GET http://user@x/ HTTP/1.1"), 400),
        (get(b"GET ftp://x/ HTTP/1.1"), 400),
        (b"GET /" + b"y" * (MAX_TARGET_BYTES + 1), 414),
        (get(b"GET /" + b"y" * MAX_TARGET_BYTES + b" HTTP/1.1"), 414),
        # Host: RFC 9112, 3.2.
        (get(b"GET / HTTP/1.1", host=b""), 400),
        (get(b"GET / HTTP/1.1", host=HOST * 2), 400),
        (get(b"GET / HTTP/1.1", host=b"Host: a/b\r\n"), 400),
        (get(b"GET / HTTP/1.1", host=b"Host: user@a\r\n"), 400),
        (get(b"GET / HTTP/1.1", host=b"Host: a:b\r\n"), 400),
        (get(b"GET / HTTP/1.1", host=b"Host: " + b"a" * 1000 + b"\r\n"), 400),
        # Fields: RFC 9112, 2.2 and 5.
        (get(b"GET / HTTP/1.1", b"A: b\r\n c"), 400),
        (get(b"GET / HTTP/1.1", b"A : b"), 400),
        (get(b"GET / HTTP/1.1", b": b"), 400),
        (get(b"GET / HTTP/1.1", b"A"), 400),
        (get(b"GET / HTTP/1.1", b"A: b\x00c"), 400),
        (get(b"GET / HTTP/1.1", b"A: b\rc"), 400),
        (get(b"GET / HTTP/1.1", b"A: b\nB: c"), 400),
        (get(b"GET / HTTP/1.1", b"Authorization: a", b"Authorization: b"), 400),
        (get(b"GET / HTTP/1.1", b"X: " + b"y" * MAX_HEAD_BYTES), 431),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * (2 * MAX_HEAD_BYTES), 431),
        (get(b"GET / HTTP/1.1", *[b"X: y"] * MAX_FIELDS), 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (10 * MAX_FIELDS), 431),
        # Length of the body: RFC 9112, 6.
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: -1"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: +1"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: 0x1"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: "), 400),
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: 1, 1"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: 1", b"Content-Length: 1"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: 9" + b"9" * 30), 400),
        (get(b"PUT /echo HTTP/1.1", b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
        (get(b"PUT /echo HTTP/1.0", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: gzip"), 501),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: identity"), 501),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked, gzip"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: "), 400),
        # Chunks: RFC 9112, 7.1.
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked") + b"x\r\n", 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked") + b"-1\r\n", 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked") + b"1\r\nab\r\n", 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked") + b"1\na\n0\n\n", 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked") + b"F" * 17 + b"\r\n", 400),
        (get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: chunked") + b"0\r\nA: b\x00\r\n\r\n", 400),
        # Expect: RFC 9110, 10.1.1.
        (get(b"PUT /echo HTTP/1.1", b"Expect: the-best", b"Content-Length: 0"), 417),
    ],
)
async def test_a_wrong_request_is_answered_and_the_connection_ends(request_: bytes, status: int) -> None:
    async with served() as server:
        client = await server.connect()
        client.send(request_ + LATER)
        given, fields, body = await client.response()
        assert given == status, body
        assert fields["content-type"] == "application/problem+json"
        assert fields["connection"] == "close"
        problem = json.loads(body)
        assert problem["status"] == status
        assert problem["detail"]
        # Whatever follows cannot be told from the rest of the wrong request.
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "request_",
    [
        get(b"GET / HTTP/1.1"),
        get(b"GET / HTTP/1.2"),
        b"\r\n\r\n" + get(b"GET / HTTP/1.1"),
        get(b"GET / HTTP/1.1", host=b"hOST: [::1]:5000 \t\r\n"),
        get(b"GET / HTTP/1.1", host=b"Host:\r\n"),
        get(b"GET / HTTP/1.1", b"Empty:", b"Umlaut: \xe4", b"A: b", b"A: c"),
        get(b"GET http://other:80 HTTP/1.1"),
        get(b"GET HTTPS://other/?q HTTP/1.1"),
        get(b"GET //x/y HTTP/1.1"),
        get(b"GET /%C3%A4?%ff HTTP/1.1"),
        get(b"OPTIONS * HTTP/1.1"),
        get(b"TRACE / HTTP/1.1"),
        get(b"QUERY / HTTP/1.1"),
        get(b"GET / HTTP/1.1", *[b"X: y"] * (MAX_FIELDS - 1)),
        get(b"GET / HTTP/1.1", b"X: " + b"y" * (MAX_HEAD_BYTES - 9000)),
        get(b"GET /" + b"y" * (MAX_TARGET_BYTES - 1) + b" HTTP/1.1"),
        get(b"PUT /echo HTTP/1.1", b"Transfer-Encoding: CHUNKED ") + b"1;a=b\r\nx\r\n0;c\r\nTrailer: d\r\n\r\n",
        get(b"PUT /echo HTTP/1.1", b"Content-Length: 1", b"Expect: 100-Continue ") + b"x",
    ],
)
async def test_a_right_request_is_answered_and_the_connection_goes_on(request_: bytes) -> None:
    async with served() as server:
        client = await server.connect()
        for _ in range(2):
            client.send(request_)
            status, fields = await client.head()
            assert status in (200, 204)
            assert "connection" not in fields
            await client.reader.readexactly(int(fields.get("content-length", 0)))
        if len(request_) < 3000 and b"Expect" not in request_:
            await client.send_bytewise(request_)
            assert (await client.head())[0] in (200, 204)


async def test_http_1_0_needs_no_host() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(b"GET /a HTTP/1.0\r\n\r\n")
        assert (await client.response())[2] == b'["GET", "/a"]'


async def test_the_host_of_a_url_stands_above_the_field() -> None:
    async with served(keys=()) as server:
        for target, host, status in (
            ("http://localhost/echo", "evil.example", 200),
            ("http://evil.example/echo", "localhost", 421),
        ):
            client = await server.connect()
            client.send(f"PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
            assert (await client.response())[0] == status


async def test_options_for_the_whole_server_lists_methods() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(get(b"OPTIONS * HTTP/1.1"))
        status, fields = await client.head()
        assert status == 204
        assert "PUT" in fields["allow"].split(", ")
