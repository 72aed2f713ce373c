"""Calls in flight to a silent master end as soon as other servers know its successor, and are repeated there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from hiredis import Reader

from jobqueue.errors import ShardUnavailable
from jobqueue.servers import connection_pool
from jobqueue.servers.topology import Topology
from jobqueue.servers.unreachable import ServerUnreachable
from jobqueue.sharding.layout import RECORD_FORMAT, Layout
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.waiting import until_async

OVERDUE_SECONDS = 0.1
SOON_SECONDS = 2.0
"""Well before a reply times out (`REPLY_TIMEOUT_SECONDS`)."""


@dataclass
class Server:
    """A fake cluster member that replies with its map and "runs" every script. If silent, it never replies.

    Attributes:
        master: port of the server that has all slots, in this server's map.
        scripts_run: how many scripts it has run.
    """

    silent: bool = False
    master: int = 0
    epoch: int = 1
    state: str = "ok"
    clustered: bool = True
    scripts_run: int = 0
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        parser = Reader()
        while data := await reader.read(4096):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                if not self.silent:
                    writer.write(self.answer(command))

    def answer(self, command: list[bytes]) -> bytes:
        match command:
            case [b"EVALSHA" | b"FCALL", *_]:
                self.scripts_run += 1
                return b":7\r\n"
            case [b"CLUSTER", _] if not self.clustered:
                return b"-ERR This instance has cluster support disabled\r\n"
            case [b"CLUSTER", b"INFO"]:
                info = f"cluster_state:{self.state}\r\ncluster_current_epoch:{self.epoch}\r\n"
                return f"${len(info)}\r\n{info}\r\n".encode()
            case [b"CLUSTER", b"SLOTS"]:
                master = f"*3\r\n$9\r\n127.0.0.1\r\n:{self.master}\r\n$1\r\nx\r\n"
                return f"*1\r\n*3\r\n:0\r\n:16383\r\n{master}".encode()
        raise AssertionError(command)


Start = Callable[[Server], Awaitable[Server]]


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.setattr(connection_pool, "OVERDUE_SECONDS", OVERDUE_SECONDS)
    servers = []
    async with AsyncExitStack() as stack:

        async def start_one(server: Server) -> Server:
            listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
            stack.callback(listener.close)
            server.port = int(listener.sockets[0].getsockname()[1])
            servers.append(server)
            return server

        yield start_one
        writers = [writer for server in servers for writer in server.writers]
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


@pytest.fixture
async def trio(start: Start) -> tuple[Server, Server, Server]:
    """A master, its replica, and a third server that knows the map."""
    master, replica, other = [await start(Server()) for _ in range(3)]
    for server in (master, replica, other):
        server.master = master.port
    return master, replica, other


@pytest.fixture
async def shard(trio: tuple[Server, Server, Server]) -> AsyncIterator[Shard]:
    """A shard on the master, which is silent from now on."""
    topology = Topology(",".join(f"redis://127.0.0.1:{server.port}" for server in trio))
    pool = await topology.master_of(0)
    # Two connections that have been checked, as those of a running program have.
    async with pool.pinned_connection() as first, pool.pinned_connection() as second:
        await asyncio.gather(first.execute(("EVALSHA",)), second.execute(("EVALSHA",)))
    trio[0].silent = True
    shards = Shards(Layout(RECORD_FORMAT, ("{rq:0}",)), topology)
    yield shards.all[0]
    await shards.close()


def replace_master(old: Server, new: Server, *others: Server) -> None:
    for server in (new, *others):
        server.master, server.epoch = new.port, old.epoch + 1


async def test_a_script_is_repeated_on_the_successor(shard: Shard, trio: tuple[Server, Server, Server]) -> None:
    master, replica, other = trio
    in_flight = asyncio.create_task(shard.run(script("ack")))
    await asyncio.sleep(3 * OVERDUE_SECONDS)
    assert not in_flight.done()
    replace_master(master, replica, other)
    async with asyncio.timeout(SOON_SECONDS):
        assert await in_flight == 7
    assert replica.scripts_run == 1


async def test_the_outcome_of_a_plain_command_is_unknown(shard: Shard, trio: tuple[Server, Server, Server]) -> None:
    """A blocking read is not overdue yet, but its server is no master any more."""
    master, replica, other = trio
    blocked = asyncio.create_task(shard.execute(("BLPOP", "{rq:0}:bell", 60), timeout_seconds=65))
    await until_async(lambda: asyncio.sleep(0, len(master.writers)), wanted="a connection")
    repeated = asyncio.create_task(shard.run(script("ack")))
    await asyncio.sleep(3 * OVERDUE_SECONDS)
    replace_master(master, replica, other)
    async with asyncio.timeout(SOON_SECONDS):
        await repeated
        with pytest.raises(ShardUnavailable) as raised:
            await blocked
    assert raised.value.outcome_unknown


async def test_calls_fail_when_only_a_minority_is_reachable(shard: Shard, trio: tuple[Server, Server, Server]) -> None:
    _, replica, other = trio
    in_flight = asyncio.create_task(shard.run(script("ack")))
    await asyncio.sleep(3 * OVERDUE_SECONDS)
    replica.state = other.state = "fail"
    with pytest.raises(ShardUnavailable) as raised:
        async with asyncio.timeout(SOON_SECONDS):
            await in_flight
    assert raised.value.outcome_unknown
    assert replica.scripts_run == 0


async def test_a_master_that_is_silent_on_a_new_connection_has_been_sent_nothing(
    trio: tuple[Server, Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "REPLY_TIMEOUT_SECONDS", 0.5)
    topology = Topology(",".join(f"redis://127.0.0.1:{server.port}" for server in trio))
    await topology.refresh()
    trio[0].silent = True
    shards = Shards(Layout(RECORD_FORMAT, ("{rq:0}",)), topology)
    pool = await topology.master_of(0)
    await pool.close()  # drops the idle connections
    with pytest.raises(ShardUnavailable) as raised:
        await shards.all[0].execute(("GET", "{rq:0}:x"), timeout_seconds=60)
    assert not raised.value.outcome_unknown
    await shards.close()


async def test_a_slow_master_without_successor_is_waited_for(shard: Shard, trio: tuple[Server, Server, Server]) -> None:
    master, replica, _ = trio
    in_flight = asyncio.create_task(shard.run(script("ack")))
    await asyncio.sleep(1.0)
    assert not in_flight.done()
    for writer in master.writers:
        writer.write(b":8\r\n")
    assert await in_flight == 8
    assert replica.scripts_run == 0


async def test_a_plain_redis_that_is_slow_is_waited_for(start: Start) -> None:
    """Even while it does not reply at all: no other server can replace it."""
    server = await start(Server(clustered=False))
    topology = Topology(f"redis://127.0.0.1:{server.port}")
    master = await topology.master_of(0)
    server.silent = True
    with pytest.raises(ServerUnreachable):
        await master.execute(("EVALSHA",), timeout_seconds=0.5)
    in_flight = asyncio.create_task(master.execute(("EVALSHA",)))
    await asyncio.sleep(1.0)
    assert not in_flight.done()
    server.writers[-1].write(b":8\r\n")
    assert await in_flight == [8]
    await topology.close()
