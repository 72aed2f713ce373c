"""A connection carries requests and responses in order, and leaves nothing behind."""

import asyncio
import gc
from functools import partial
from weakref import ref

import pytest

from manager.http.request_head import MAX_CACHED_TARGET_BYTES
from manager.http.uvicorn_protocol import SLICE_BYTES
from tests.unit.manager.http.http_server import DATE, chunked, put, served
from tests.waiting import until_async


async def test_one_connection_carries_many_requests() -> None:
    async with served() as server:
        client = await server.connect()
        for body in (b"", b"one", b"x" * 300_000):
            client.send(put(body))
            assert await client.echo() == body
        assert server.state.total_requests == 3


async def test_a_fast_response_is_complete() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"one", "1.1", "x-request-id: abc"))
        status, fields, body = await client.response()
        assert (status, body) == (200, b"one")
        assert fields == {
            "date": DATE.decode(),
            "content-type": "text/echo",
            "content-length": "3",
            "x-request-id": "abc",
            "x-content-type-options": "nosniff",
        }


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"one") + put(b"two") + put(b"three"))
        assert [await client.echo() for _ in range(3)] == [b"one", b"two", b"three"]


async def test_many_requests_in_one_packet_are_not_all_held() -> None:
    async with served() as server:
        client = await server.connect()
        bodies = [b"%d" % number for number in range(5000)]
        client.send(b"".join(map(put, bodies)))
        longest = 0
        for body in bodies:
            assert await client.echo() == body
            longest = max(longest, *(len(connection._pipeline) for connection in server.connections))
        assert 0 < longest < SLICE_BYTES / len(put(b""))


async def test_an_error_in_a_pipeline_is_answered_in_its_turn() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"one") + put(b"two") + b"nonsense\r\n\r\n" + put(b"three"))
        assert [await client.echo() for _ in range(2)] == [b"one", b"two"]
        status, fields, _ = await client.response()
        assert (status, fields["connection"]) == (400, "close")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "target", ["/echo?a=1", "/ec%68o", f"/echo?a={'x' * 2 * MAX_CACHED_TARGET_BYTES}", "http://h/echo"]
)
async def test_a_target_is_parsed_alike_with_and_without_the_cache(target: str) -> None:
    async with served() as server:
        client = await server.connect()
        for body in (b"one", b"two"):
            client.send(put(body, target=target))
            assert await client.echo() == body


async def test_the_connection_closes_if_the_client_asks_for_it() -> None:
    async with served() as server:
        for message in (put(b"one", "1.1", "connection: close"), put(b"one", "1.0")):
            client = await server.connect()
            client.send(message)
            status, fields, body = await client.response()
            assert (status, fields["connection"], body) == (200, "close", b"one")
            assert await client.rest() == b""


async def test_what_follows_a_last_request_is_not_answered() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"one", "1.1", "connection: close") + put(b"two"))
        assert (await client.rest()).count(b"HTTP/1.1 200") == 1


async def test_a_client_is_told_to_send_its_body() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"one", "1.1", "expect: 100-continue")[:-3])
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"one")
        assert await client.echo() == b"one"


@pytest.mark.parametrize("request_", [put(b"one", "1.1", "expect: 100-continue"), put(b"one", "1.0", "expect: x")])
async def test_no_client_is_told_to_send_what_it_sends_anyway(request_: bytes) -> None:
    async with served() as server:
        client = await server.connect()
        client.send(request_)
        assert await client.echo() == b"one"


async def test_a_slow_reader_gets_the_whole_response() -> None:
    async with served() as server:
        client = await server.connect()
        body = bytes(8 << 20)
        client.send(put(body) + put(b"two"))
        assert await client.echo() == body
        assert await client.echo() == b"two"


async def test_a_chunked_body_arrives_in_any_packets() -> None:
    async with served() as server:
        client = await server.connect()
        message = chunked(b"one ", b"and ", b"x" * 100)
        client.send(message)
        assert await client.echo() == b"one and " + b"x" * 100
        await client.send_bytewise(message)
        assert await client.echo() == b"one and " + b"x" * 100


async def test_a_response_of_unknown_length_ends_where_the_client_sees_it() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n")
        _, fields = await client.head()
        assert fields["transfer-encoding"] == "chunked"
        assert await client.reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        client.send(b"GET /stream HTTP/1.0\r\n\r\n")
        _, fields, body = await client.response()
        assert ("transfer-encoding" in fields, body) == (False, b"onetwo")


async def test_a_response_to_head_has_no_body() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(b"HEAD /other HTTP/1.1\r\nhost: x\r\n\r\n" + put(b"one"))
        status, fields = await client.head()
        assert (status, fields["content-length"]) == (200, str(len('["GET", "/other"]')))
        assert await client.echo() == b"one"


async def test_a_prefix_is_removed_whether_or_not_the_proxy_has_done_so() -> None:
    async with served(root_path="/queue") as server:
        client = await server.connect()
        for path, seen in (("/queue/a", "/a"), ("/a", "/a"), ("/queued", "/queued"), ("/queue", "/")):
            client.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            _, fields, body = await client.response()
            assert body == f'["GET", "{seen}"]'.encode()
            assert fields["location"] == "/queue/elsewhere"


async def test_a_closed_connection_leaves_no_timer() -> None:
    async with served() as server:
        client = await server.connect()
        client.send(put(b"one"))
        await client.echo()
        (connection,) = server.connections
        timer = connection._timer
        assert timer is not None
        client.writer.close()
        await until_async(partial(_is_cancelled, timer))


async def _is_cancelled(timer: asyncio.TimerHandle) -> bool:
    return timer.cancelled()


async def test_requests_and_connections_are_freed_without_garbage_collection() -> None:
    async with served() as server:
        client = await server.connect()
        gc.collect()
        gc.disable()
        try:
            requests = []
            (connection,) = server.connections
            for message in (put(b"one"), chunked(b"one")):
                client.send(message[:-1])
                await until_async(partial(_latest, connection))
                requests.append(ref(connection._latest))
                client.send(message[-1:])
                await client.echo()
            assert [request() for request in requests] == [None, None]
            gone = ref(connection)
            del connection
            client.writer.close()
            await until_async(partial(_is_gone, gone))
        finally:
            gc.enable()


async def _latest(connection: object) -> object:
    return connection._latest  # type: ignore[attr-defined]


async def _is_gone(reference: ref[object]) -> bool:
    return reference() is None
