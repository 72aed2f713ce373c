"""A request that offers another protocol is answered over HTTP/1.1, with its body (RFC 9110, 7.8)."""

import pytest

from tests.unit.manager.http.http_server import chunked, put, served

H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA")
WEB_SOCKET = ("connection: keep-alive, Upgrade", "upgrade: websocket", "sec-websocket-version: 13")
UNKNOWN = ("connection: UPGRADE", "upgrade: IRC/6.9, RTA/x11")
BODIES = (b"", b"PUT /echo HTTP/1.1\r\n\r\n", b"\x00" * 100, b"x" * 200_000)


def offering(request: bytes, offer: tuple[str, ...]) -> bytes:
    line, _, rest = request.partition(b"\r\n")
    return b"\r\n".join((line, *(field.encode() for field in offer), rest))


@pytest.mark.parametrize("offer", [H2C, WEB_SOCKET, UNKNOWN], ids=["h2c", "websocket", "unknown"])
@pytest.mark.parametrize("body", BODIES, ids=["empty", "like a request", "zeros", "large"])
async def test_the_body_is_the_body(offer: tuple[str, ...], body: bytes) -> None:
    async with served() as server:
        client = await server.connect()
        for request in (put(body), chunked(body) if body else put(body)):
            client.send(offering(request, offer))
            assert await client.echo() == body


@pytest.mark.parametrize("request_", [put(b"body"), put(b""), chunked(b"bo", b"dy")])
async def test_an_offer_may_arrive_in_any_packets(request_: bytes) -> None:
    message = offering(request_, H2C)
    body = b"body" if b"bo" in request_ else b""
    async with served() as server:
        client = await server.connect()
        for position in range(1, len(message)):
            client.send(message[:position])
            await client.writer.drain()
            client.send(message[position:])
            assert await client.echo() == body
        await client.send_bytewise(message)
        assert await client.echo() == body


async def test_requests_before_and_after_an_offer_are_answered_too() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"one") + offering(put(b"two"), H2C) + offering(chunked(b"three"), WEB_SOCKET) + put(b"four"))
        assert [await client.echo() for _ in range(4)] == [b"one", b"two", b"three", b"four"]


async def test_a_wrong_request_with_an_offer_is_refused() -> None:
    async with served() as server:
        for wrong in (put(b"x", "2.0"), put(b"x").replace(b"host: x\r\n", b"")):
            client = await server.connect()
            client.send(offering(wrong, H2C))
            assert (await client.response())[0] in (400, 505)


async def test_a_client_that_offers_and_waits_is_told_to_send_its_body() -> None:
    async with served() as server:
        client = await server.connect()
        head = offering(put(b"body", "1.1", "expect: 100-continue"), H2C)[:-4]
        client.send(head)
        assert (await client.head())[0] == 100
        client.send(b"body")
        assert await client.echo() == b"body"
