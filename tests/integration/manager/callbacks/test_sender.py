"""The loop that sends callbacks ends when its manager stops, at whatever moment."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.shards import Shards
from manager.callbacks import sender as sender_module
from manager.callbacks.sender import CallbackSender
from outgoing.guard import Guard
from tests.acceptance.manager.callback_receiver import Receiver
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs, success_outcome


@pytest.fixture
async def shards(redis_url: str) -> AsyncIterator[Shards]:
    connected = await Shards.connect(redis_url)
    yield connected
    await connected.close()


async def test_a_stop_at_the_moment_at_which_a_callback_is_recorded_is_not_missed(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", "127.0.0.1")
    sender = CallbackSender(shards, guard, [], retry_intervals=[1], timeout_seconds=5)
    stopping: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()
    # Called right before the loop is told that there is room for the host again.
    monkeypatch.setattr(sender_module, "_log", lambda *_: stopping.set_result(asyncio.create_task(sender.stop())))
    with Receiver() as receiver:
        asked = {"url": receiver.url, "host": receiver.host, "events": ["finished"]}
        await enqueue_jobs(shards.all[0], "a", callback=json.dumps(asked))
        (job,) = await claim_jobs(shards.all[0])
        await finish(shards.all[0], "w1", [success_outcome(job)])
        sender.start()
        async with asyncio.timeout(20):
            await (await stopping)
    assert len(receiver.requests) == 1
