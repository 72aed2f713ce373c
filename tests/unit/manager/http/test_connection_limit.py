"""A server with many connections goes on serving: a new client takes the place of one that does nothing."""

from tests.unit.manager.http.http_server import Server, put, served
from tests.waiting import until_async

LIMIT = 20
POST_LONG = b"POST /long HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


async def test_a_newcomer_takes_the_place_of_a_connection_that_never_asked() -> None:
    async with served(limit=LIMIT) as server:
        served_client = await server.connect()
        served_client.send(put(b"before"))
        await served_client.echo()
        idle = [await server.connect() for _ in range(LIMIT - 1)]
        for _ in range(LIMIT // 2):
            newcomer = await server.connect()
            newcomer.send(put(b"new"))
            assert await newcomer.echo() == b"new"
        assert await idle[0].rest() == b""
        served_client.send(put(b"still there"))
        assert await served_client.echo() == b"still there"


async def test_half_a_request_keeps_no_place() -> None:
    async with served(limit=LIMIT) as server:
        slow = [await server.connect() for _ in range(LIMIT * 2)]
        for client in slow:
            client.send(put(b"x")[:-10])
        newcomer = await server.connect()
        newcomer.send(put(b"new"))
        assert await newcomer.echo() == b"new"


async def test_a_client_hears_that_all_connections_are_at_work() -> None:
    async with served(limit=LIMIT) as server:
        working = [await server.connect() for _ in range(LIMIT)]
        for client in working:
            client.send(POST_LONG)
        await until_async(lambda: all_work(server))
        newcomer = await server.connect()
        newcomer.send(put(b"new"))
        status, fields, body = await newcomer.response()
        assert (status, fields["retry-after"], fields["connection"]) == (503, "1", "close"), body
        newcomer.writer.close()
        await until_async(lambda: all_work(server))
        working[0].writer.write_eof()
        assert (await working[0].response())[2] == b"nothing yet"
        assert await working[0].rest() == b""
        newcomer = await server.connect()
        newcomer.send(put(b"new"))
        assert await newcomer.echo() == b"new"


async def test_many_refused_clients_are_not_kept() -> None:
    async with served(limit=2) as server:
        working = [await server.connect() for _ in range(2)]
        for client in working:
            client.send(POST_LONG)
        await until_async(lambda: all_work(server))
        refused = [await server.connect() for _ in range(500)]
        for client in refused[100:]:
            await client.rest()
        assert len(server.connections) < 100


async def all_work(server: Server) -> bool:
    return all(each.waiting_since is None for each in server.connections)
