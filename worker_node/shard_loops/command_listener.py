"""Takes in the messages that a shard holds for this worker, also while every slot is busy."""

from collections.abc import Callable

from jobqueue.backoff import Patience
from jobqueue.errors import JobQueueError
from jobqueue.sharding.shards import Shard
from jobqueue.workers.registry import Command, wait

LISTEN_SECONDS = 15.0


async def listen(shard: Shard, worker: str, on_command: Callable[[Command], None]) -> None:
    """Hands each message on, until it is cancelled."""
    patience = Patience("messages", shard.prefix)
    while True:
        try:
            command = await wait(shard, worker, (), for_work=False, seconds=LISTEN_SECONDS)
        except JobQueueError as error:
            await patience.failed(error)
            continue
        patience.succeeded()
        if isinstance(command, Command):
            on_command(command)
