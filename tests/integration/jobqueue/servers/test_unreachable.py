"""Redis servers that are absent, reject logins, hang, restart or flush their scripts."""

import asyncio

import pytest

from jobqueue.errors import ShardUnavailable, WrongDatabase
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import EnqueueOutcome, enqueue
from jobqueue.servers.topology import Topology
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import wait_for_message
from tests.durability import until_aof_written
from tests.integration.jobqueue.queue_helpers import claim_jobs, complete_jobs, enqueue_jobs, new_job, queued_ids
from tests.waiting import until_async
from workmanager.local import ports
from workmanager.local.valkey import ValkeyServer


async def test_an_absent_redis_is_named_in_the_error() -> None:
    port = ports.free_port()
    with pytest.raises(ShardUnavailable, match=f"127.0.0.1:{port}") as raised:
        await Shards.connect(f"redis://127.0.0.1:{port}")
    assert not raised.value.outcome_unknown


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
async def test_a_server_of_another_kind_is_named_in_the_error(greeting: bytes) -> None:
    """Such as a web server at the port: it is waited for, as one that is absent, and ends no program."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(greeting)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ShardUnavailable, match=f"127.0.0.1:{port}: what answers is no Redis server"):
            await Shards.connect(f"redis://127.0.0.1:{port}")


async def test_a_wrong_password_is_named_in_the_error(private_server: ValkeyServer) -> None:
    private_server.command("CONFIG", "SET", "requirepass", "secret")
    address = f"127.0.0.1:{private_server.port}"
    for credentials in ("", ":wrong@", "nobody:secret@"):
        with pytest.raises(ShardUnavailable, match=r"(?i)auth|password"):
            await Shards.connect(f"redis://{credentials}{address}")
    shards = await Shards.connect(f"redis://:secret@{address}")
    await enqueue_jobs(shards.all[0], "a")
    await shards.close()


@pytest.mark.parametrize("url", ["", " , ", "http://127.0.0.1", "unix:///tmp/x"])
async def test_an_invalid_redis_url_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)redis"):
        await Shards.connect(url)


async def test_a_database_that_redis_does_not_have_ends_the_wait_for_redis(redis_url: str) -> None:
    with pytest.raises(WrongDatabase, match="DB index is out of range"):
        await Shards.connect_with_retries(Topology(f"{redis_url}/99"))


async def test_a_restarted_server_is_used_again(private_server: ValkeyServer, private_shard: Shard) -> None:
    await enqueue_jobs(private_shard, "a")
    await asyncio.to_thread(until_aof_written, private_server)
    private_server.kill()
    for _ in range(2):
        with pytest.raises(ShardUnavailable):
            await enqueue_jobs(private_shard, "b")
    private_server.start()
    assert await enqueue_jobs(private_shard, "b") == [EnqueueOutcome.WRITTEN]
    assert await queued_ids(private_shard) == ["a", "b"]


async def test_a_blocking_read_fails_as_unavailable_when_its_master_steps_down(
    private_server: ValkeyServer, private_shard: Shard
) -> None:
    """Redis ends blocking reads with an UNBLOCKED error when a master becomes a replica."""
    waiter = asyncio.create_task(wait_for_message(private_shard, "w", (), for_work=False, seconds=90.0))

    async def is_blocked() -> bool:
        return bool(private_server.command("INFO", "clients")["blocked_clients"])

    await until_async(is_blocked, wanted="the blocking read")
    private_server.command("REPLICAOF", "127.0.0.1", str(ports.free_port()))
    with pytest.raises(ShardUnavailable, match="UNBLOCKED"):
        await waiter


async def test_a_call_with_retry_seconds_survives_a_restart(private_server: ValkeyServer, private_shard: Shard) -> None:
    await enqueue_jobs(private_shard, "a")
    private_server.kill()
    retrying = asyncio.create_task(enqueue(private_shard, [new_job("b")], retry_seconds=60))
    await asyncio.sleep(0.1)
    assert not retrying.done()
    await asyncio.to_thread(private_server.start)
    assert await retrying in ([EnqueueOutcome.WRITTEN], [EnqueueOutcome.REPEATED])


async def test_a_hanging_server_delays_a_caller_for_seconds_only(
    private_server: ValkeyServer, private_shard: Shard
) -> None:
    await enqueue_jobs(private_shard, "a")
    private_server.pause()
    try:
        async with asyncio.timeout(30):
            with pytest.raises(ShardUnavailable) as raised:
                await enqueue_jobs(private_shard, "b")
    finally:
        private_server.resume()
    assert "no reply in time" in str(raised.value)


async def test_a_cancelled_call_leaves_no_reply_for_the_next(plain_shard: Shard) -> None:
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await plain_shard.execute(("BLPOP", "rq:nothing", 0.05))
        assert await plain_shard.execute(("ECHO", "mine")) == [b"mine"]


async def test_flushed_scripts_are_loaded_again(shard: Shard) -> None:
    await enqueue_jobs(shard, "a", "b")
    await shard.execute(("SCRIPT", "FLUSH"))
    assert len(await claim_jobs(shard, 1)) == 1
    await shard.execute(("SCRIPT", "FLUSH"))
    await complete_jobs(shard, *(await queued_ids(shard)))


async def test_a_server_busy_with_a_script_is_unavailable(private_server: ValkeyServer, private_shard: Shard) -> None:
    await enqueue_jobs(private_shard, "a")
    private_server.command("CONFIG", "SET", "busy-reply-threshold", 50)
    endless = asyncio.create_task(private_shard.execute(("EVAL", "while true do end", 0), timeout_seconds=90))

    async def is_unavailable() -> bool:
        try:
            await claim(private_shard, "w1", ["default"], 1, retry_seconds=0.0)
        except ShardUnavailable as error:
            return "BUSY" in str(error)
        return False

    await until_async(is_unavailable, wanted="the BUSY error")
    private_server.command("SCRIPT", "KILL")
    await asyncio.gather(endless, return_exceptions=True)
    assert await enqueue_jobs(private_shard, "b") == [EnqueueOutcome.WRITTEN]


async def test_a_server_that_is_no_longer_master_is_unavailable(
    private_server: ValkeyServer, private_shard: Shard
) -> None:
    await enqueue_jobs(private_shard, "a")
    private_server.command("REPLICAOF", "127.0.0.1", ports.free_port())
    with pytest.raises(ShardUnavailable) as raised:
        await enqueue_jobs(private_shard, "b")
    assert not raised.value.outcome_unknown
