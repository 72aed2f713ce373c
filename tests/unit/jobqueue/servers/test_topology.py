"""Which server's map of the cluster counts, when others are partitioned, silent, gone or outdated."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.topology import MAP_TIMEOUT_SECONDS, Topology

Start = Callable[..., Awaitable[int]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts servers that only reply with their map: `master` is the port of the server with all slots."""
    writers: list[asyncio.StreamWriter] = []
    async with AsyncExitStack() as stack:

        async def start_one(*, master: int, epoch: int = 1, state: str = "ok", silent: bool = False) -> int:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writers.append(writer)
                while request := await reader.read(4096):
                    if silent:
                        continue
                    assert b"INFO" in request
                    assert b"SLOTS" in request
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
    """The masters found when the map is asked for several times."""
    found = set()
    for _ in range(times):
        known.invalidate()
        found.add((await known.master_of(7)).port)
    return found


async def test_the_map_of_a_server_outside_the_majority_does_not_count(start: Start) -> None:
    ports = [await start(master=1, epoch=9, state="fail"), await start(master=2, epoch=3)]
    known = topology(*ports)
    assert await masters(known) == {2}
    await known.close()


async def test_a_map_older_than_the_known_one_does_not_count(start: Start) -> None:
    old, new = await start(master=1, epoch=4), await start(master=2, epoch=5)
    known = topology(new)
    assert await masters(known, 1) == {2}
    known._seeds = (("127.0.0.1", old), ("127.0.0.1", new))
    assert await masters(known) == {2}
    await known.close()


async def test_without_a_majority_all_callers_fail_at_once(start: Start) -> None:
    """They share one query: no caller waits for the silent server again."""
    known = topology(await start(master=1, epoch=1, state="fail"), await start(master=1, silent=True))
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    answers = await asyncio.gather(*(known.master_of(7) for _ in range(5)), return_exceptions=True)
    assert loop.time() - started_at < 1.5 * MAP_TIMEOUT_SECONDS
    for answer in answers:
        assert isinstance(answer, ShardUnavailable)
        assert "majority" in str(answer)
    await known.close()


async def test_silent_and_absent_servers_cause_no_delay(start: Start) -> None:
    silent = [await start(master=1, silent=True) for _ in range(3)]
    known = topology(*silent, 9, await start(master=2))
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    assert await masters(known, 1) == {2}
    assert loop.time() - started_at < 1.5 * MAP_TIMEOUT_SECONDS
    await known.close()


async def test_a_server_that_is_in_no_map_any_more_is_forgotten(start: Start) -> None:
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


async def test_the_error_names_the_unreachable_server() -> None:
    known = topology(9)
    with pytest.raises(ShardUnavailable, match=r"127\.0\.0\.1:9"):
        await known.master_of(7)
    await known.close()
