"""The command listener after an outage."""

import asyncio
from typing import Any

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shard import Shard
from worker_node.shard_loops.command_listener import MESSAGE_WAIT_SECONDS, listen_for_commands


class RecoveringShard(Shard):
    """A shard that is away for the first call, and then has no commands.

    Attributes:
        waits: how long each call would block.
        asked: set at the third call.
    """

    def __init__(self) -> None:
        self.prefix = "{rq:0}"
        self.waits: list[float] = []
        self.asked = asyncio.Event()

    async def execute(self, *commands: Any, **options: Any) -> list[Any]:
        self.waits.append(float(commands[0][-1]))
        match len(self.waits):
            case 1:
                raise ShardUnavailable("away")
            case 3:
                self.asked.set()
                await asyncio.Event().wait()
        return [None]


async def test_the_end_of_an_outage_is_noticed_before_the_next_long_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shard = RecoveringShard()
    listening = asyncio.create_task(listen_for_commands(shard, "w", lambda command: None))
    await asyncio.wait_for(shard.asked.wait(), 30)
    listening.cancel()
    assert "event=commands_available" in caplog.text
    first, after_failure, last = shard.waits
    assert first == last == MESSAGE_WAIT_SECONDS
    assert after_failure < 1
