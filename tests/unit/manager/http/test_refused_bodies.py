"""A refusal arrives although the client is still sending, and what it sends is neither kept nor without limit."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request, Response

from manager.http.problems import Problem
from manager.http.request_reader import MAX_HEAD_BYTES
from manager.http.server_sent_events import ping, stream
from tests.unit.manager.http.http_server import MAX_BODY_BYTES, chunked, put, served

TOO_MUCH = b"x" * (MAX_BODY_BYTES + 5_000_000)
CHUNKED_HEAD = b"PUT /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_that_sends_everything_first_hears_the_refusal(version: str) -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(TOO_MUCH, version))
        await client.writer.drain()
        status, fields, _ = await client.response()
        assert (status, fields["connection"]) == (413, "close")
        assert await client.rest() == b""


async def test_a_chunked_body_is_refused_at_the_limit() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(chunked(*[TOO_MUCH[:1_000_000]] * 30))
        assert (await client.response())[0] == 413


async def test_a_body_that_no_route_reads_is_thrown_away() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(b"GET /a HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(TOO_MUCH) + TOO_MUCH)
        status, fields, _ = await client.response()
        assert (status, fields["connection"]) == (200, "close")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    ("endless", "count"),
    [
        (b"0\r\n" + b"Trailer: " + b"x" * 1000 + b"\r\n", 300),
        (b"0\r\n" + b"x" * 1000, 300),
        (b"0\r\nTrailer: " + b"x" * 1000, 300),
        (b"1;" + b"x" * 1000, 300),
        (b"1;extension=" + b"x" * 1000 + b"\r\nx\r\n", 300),
    ],
    ids=["trailers", "name of a trailer", "value of a trailer", "extension", "extensions"],
)
async def test_what_stands_beside_a_body_is_limited(endless: bytes, count: int) -> None:
    first, repeated = (endless[:3], endless[3:]) if endless.startswith(b"0\r\n") else (b"", endless)
    async with served() as server:
        client = await server.connect()
        client.send(CHUNKED_HEAD + first + repeated * count)
        status, fields, body = await client.response()
        assert (status, fields["connection"]) == (431, "close"), body


async def test_many_small_chunks_are_a_body_like_others() -> None:
    async with served() as server:
        client = await server.connect()
        pieces = [b"x"] * (MAX_HEAD_BYTES * 3)
        client.send(chunked(*pieces))
        assert await client.echo() == b"x" * len(pieces)


async def test_trailers_are_not_kept() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(CHUNKED_HEAD + b"1\r\nx\r\n0\r\n")
        client.send(b"".join(b"Trailer-%d: %b\r\n" % (number, b"x" * 100) for number in range(300)) + b"\r\n")
        assert await client.echo() == b"x"
        (connection,) = server.connections
        assert len(connection._reader._headers) == 2


async def test_what_a_refused_client_sends_is_not_kept() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(b"nonsense\r\n\r\n")
        assert (await client.response())[0] == 400
        tracemalloc.start()
        try:
            for _ in range(30):
                client.send(bytes(1_000_000))
                await client.writer.drain()
            kept_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert kept_bytes < 5_000_000


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ("", b"no length\r\n"),
        ("", b"0\r\nContent-Length: 1\r\n\r\n"),
        ("content-encoding: gzip\r\n", b"a\r\n0123456789\r\n"),
    ],
    ids=["length of a chunk", "trailer", "encoding"],
)
async def test_a_stream_ends_without_an_error_if_a_body_beside_it_is_wrong(
    fields: str, wrong: bytes, at_once: bool, caplog: pytest.LogCaptureFixture
) -> None:
    routes = FastAPI(exception_handlers={Problem: _answer_problem})  # as the manager has them

    @routes.get("/events")
    async def _events(request: Request) -> Response:
        return stream(request, _begin_and_wait())

    async def _begin_and_wait() -> AsyncIterator[bytes]:
        yield ping()
        await asyncio.Event().wait()

    async with served(other_routes=routes) as server:
        client = await server.connect()
        head = f"GET /events HTTP/1.1\r\nhost: x\r\n{fields}transfer-encoding: chunked\r\n\r\n".encode()
        client.send(head + wrong if at_once else head)
        if not at_once:
            assert (await client.head())[0] == 200
            client.send(wrong)
        await client.rest()
    assert not caplog.records


async def _answer_problem(_: Request, error: Exception) -> Response:
    return Response(str(error), 400)
