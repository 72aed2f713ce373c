"""Commands of plain RQ clients: which of them reach our workers, and how often."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from jobqueue import keys
from jobqueue.maintenance.rq_commands import pass_on_rq_commands
from jobqueue.sharding.shard import Shard
from jobqueue.workers.registry import register
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs, worker_record
from tests.waiting import until_async

MANAGERS = 2


@pytest.fixture
async def managers(shard: Shard) -> AsyncIterator[None]:
    """Two managers that hear commands."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pass_on_rq_commands(shard)) for _ in range(MANAGERS)]
        await until_async(lambda: _are_heard(shard), wanted="managers that listen")
        yield
        for task in tasks:
            task.cancel()


async def _are_heard(shard: Shard) -> bool:
    (listing,) = await shard.execute(("CLIENT", "LIST", "TYPE", "PUBSUB"))
    return str(listing).count("psub=1") == MANAGERS


async def send(shard: Shard, worker: str, content: str) -> None:
    await shard.execute(("PUBLISH", keys.pubsub(shard.prefix, worker), content))


async def received(shard: Shard, worker: str, count: int = 1) -> list[tuple[str, str]]:
    """Return what the worker would read: verbs and jobs, once there are so many."""

    async def read() -> list[bytes]:
        (found,) = await shard.execute(("LRANGE", keys.commands(shard.prefix, worker), 0, -1))
        return found if len(found) >= count else []

    messages = [json.loads(text) for text in await until_async(read, wanted=f"{count} commands to {worker}")]
    return [(message["verb"], message["job_id"]) for message in messages]


@pytest.mark.usefixtures("managers")
async def test_each_command_reaches_its_worker_once(shard: Shard) -> None:
    await register(shard, worker_record("w1"))
    await register(shard, worker_record("w2"))
    await enqueue_jobs(shard, "c")
    await claim_jobs(shard, token="c1")
    for content in (
        "no JSON",
        "[]",
        '{"command": "unknown"}',
        '{"command": "stop-job", "job_id": "a"}',
        '{"command": "stop-job", "job_id": "b"}',
        '{"command": "stop-execution", "job_id": "a", "execution_id": "a1"}',
        '{"command": "stop-execution", "job_id": "c", "execution_id": "an earlier one"}',
        '{"command": "stop-execution", "job_id": "c", "execution_id": "c1"}',
        '{"command": "kill-horse"}',
    ):
        await send(shard, "w1", content)
    for content in ('{"command": "kill-horse"}', '{"command": "shutdown"}'):
        await send(shard, "w2", content)
    assert await received(shard, "w2", 2) == [("kill", ""), ("drain", "")]
    assert await received(shard, "w1", 4) == [("cancel", "a"), ("cancel", "b"), ("cancel", "c"), ("kill", "")]


@pytest.mark.usefixtures("managers")
async def test_commands_to_plain_rq_workers_are_left_to_them(shard: Shard) -> None:
    await register(shard, worker_record("ours"))
    await send(shard, "theirs", '{"command": "shutdown"}')
    await send(shard, "ours", '{"command": "shutdown"}')
    await received(shard, "ours")
    (left,) = await shard.execute(("EXISTS", keys.commands(shard.prefix, "theirs")))
    assert not left


@pytest.mark.usefixtures("managers")
async def test_managers_listen_again_after_their_connection_is_lost(shard: Shard) -> None:
    await register(shard, worker_record("w1"))
    await shard.execute(("CLIENT", "KILL", "TYPE", "PUBSUB"))
    await until_async(lambda: _are_heard(shard), wanted="managers that listen again")
    await send(shard, "w1", '{"command": "kill-horse"}')
    assert await received(shard, "w1") == [("kill", "")]
