"""Compressed bodies are decoded within the limit of the body, in any pieces."""

import gzip
import zlib

import pytest

from tests.unit.manager.http.http_server import MAX_BODY_BYTES, chunked, put, served

DATA = b"some data, " * 20_000
GZIP = "content-encoding: gzip"


@pytest.mark.parametrize(
    "encoded",
    [gzip.compress(DATA), gzip.compress(DATA[:7]) + gzip.compress(DATA[7:]), gzip.compress(DATA, 0)],
    ids=["one member", "two members", "stored"],
)
async def test_a_compressed_body_is_decoded(encoded: bytes) -> None:
    async with served() as server:
        client = await server.connect()
        for name in ("gzip", "x-gzip", "GZIP "):
            client.send(put(encoded, "1.1", f"content-encoding: {name}"))
            assert await client.echo() == DATA
        in_chunks = chunked(*(encoded[start : start + 1000] for start in range(0, len(encoded), 1000)))
        client.send(in_chunks.replace(b"host: x", b"host: x\r\n" + GZIP.encode(), 1))
        assert await client.echo() == DATA


@pytest.mark.parametrize("body", [b"", b"x", bytes(MAX_BODY_BYTES)], ids=["empty", "one byte", "largest"])
async def test_bodies_up_to_the_limit_are_decoded(body: bytes) -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(gzip.compress(body, 0), "1.1", GZIP))
        assert await client.echo() == body


async def test_a_bomb_is_refused_at_the_limit() -> None:
    async with served() as server:
        client = await server.connect()
        bomb = gzip.compress(bytes(MAX_BODY_BYTES + 1))
        assert len(bomb) < MAX_BODY_BYTES / 500
        client.send(put(bomb, "1.1", GZIP))
        assert (await client.response())[0] == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"no gzip", zlib.compress(DATA), gzip.compress(DATA)[:-1], gzip.compress(DATA) + b"\0"],
    ids=["empty", "plain", "zlib", "cut off", "followed by garbage"],
)
async def test_what_is_not_gzip_is_refused(body: bytes) -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(body, "1.1", GZIP))
        status, _, answer = await client.response()
        assert status == 400, answer
        client.send(put(b"next"))
        assert await client.echo() == b"next"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "gzip;q=1"])
async def test_another_encoding_is_refused(encoding: str) -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"x", "1.1", f"content-encoding: {encoding}"))
        status, fields, _ = await client.response()
        assert (status, fields["accept-encoding"]) == (415, "gzip")


async def test_no_encoding_may_be_named() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"x", "1.1", "content-encoding: identity"))
        assert await client.echo() == b"x"
