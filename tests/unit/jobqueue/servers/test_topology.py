"""Whose map of the cluster is believed: servers that are cut off, silent or gone beside one that knows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.topology import MAP_TIMEOUT_SECONDS, Topology

Start = Callable[..., Awaitable[int]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts servers that know nothing but a map: `master` is the port of the one that has all slots."""
    writers: list[asyncio.StreamWriter] = []
    async with AsyncExitStack() as stack:

        async def start_one(*, master: int, epoch: int = 1, state: str = "ok", silent: bool = False) -> int:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writers.append(writer)
                while question := await reader.read(4096):
                    if silent:
                        continue
                    assert b"INFO" in question
                    assert b"SLOTS" in question
                    info = f"cluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\n"
                    slots = f"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{master}\r\n$1\r\nx\r\n"
                    writer.write(f"${len(info)}\r\n{info}\r\n{slots}".encode())

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            stack.callback(server.close)
            return int(server.sockets[0].getsockname()[1])

        yield start_one
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


def topology(*ports: int) -> Topology:
    return Topology(",".join(f"redis://127.0.0.1:{port}" for port in ports))


async def masters(known: Topology, times: int = 10) -> set[int]:
    """The masters that are found when the map is asked for again and again."""
    found = set()
    for _ in range(times):
        known.invalidate()
        found.add((await known.master_of(7)).port)
    return found


async def test_a_server_that_does_not_serve_is_not_asked_for_the_way(start: Start) -> None:
    ports = [await start(master=1, epoch=9, state="fail"), await start(master=2, epoch=3)]
    known = topology(*ports)
    assert await masters(known) == {2}
    await known.close()


async def test_an_older_map_than_the_known_one_does_not_count(start: Start) -> None:
    old, new = await start(master=1, epoch=4), await start(master=2, epoch=5)
    known = topology(new)
    assert await masters(known, 1) == {2}
    known._seeds = (("127.0.0.1", old), ("127.0.0.1", new))
    assert await masters(known) == {2}
    await known.close()


async def test_where_nobody_is_with_the_majority_all_callers_hear_so_at_once(start: Start) -> None:
    """Their question is shared: nobody waits for the silent ones after others have done so."""
    known = topology(await start(master=1, epoch=1, state="fail"), await start(master=1, silent=True))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    answers = await asyncio.gather(*(known.master_of(7) for _ in range(5)), return_exceptions=True)
    assert loop.time() - begun < 1.5 * MAP_TIMEOUT_SECONDS
    for answer in answers:
        assert isinstance(answer, ShardUnavailable)
        assert "majority" in str(answer)
    await known.close()


async def test_silent_and_absent_servers_hold_nobody_up(start: Start) -> None:
    silent = [await start(master=1, silent=True) for _ in range(3)]
    known = topology(*silent, 9, await start(master=2))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await masters(known, 1) == {2}
    assert loop.time() - begun < 1.5 * MAP_TIMEOUT_SECONDS
    await known.close()


async def test_a_server_that_is_no_longer_named_is_forgotten(start: Start) -> None:
    gone = await start(master=1, silent=True)
    seed = await start(master=gone)
    known = topology(seed)
    assert await masters(known, 1) == {gone}
    assert set(known._pools) == {("127.0.0.1", seed), ("127.0.0.1", gone)}
    known._seeds = (("127.0.0.1", await start(master=seed, epoch=2)),)
    async with asyncio.timeout(5):
        while await masters(known, 1) != {seed}:
            pass
    assert ("127.0.0.1", gone) not in known._pools
    await known.close()


async def test_nobody_at_all_is_named() -> None:
    known = topology(9)
    with pytest.raises(ShardUnavailable, match=r"127\.0\.0\.1:9"):
        await known.master_of(7)
    await known.close()
