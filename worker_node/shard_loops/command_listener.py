"""Command listener of one shard: receives the commands to this worker, even while it is busy (asynq: subscriber)."""

from collections.abc import Callable

from jobqueue.backoff import Backoff
from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WorkerCommand, wait_for_message

MESSAGE_WAIT_SECONDS = 15.0
FIRST_WAIT_SECONDS = 0.1
"""After a failure: Redis answers a longer wait only at its end, so that the outage would seem to last for so long."""


async def listen_for_commands(shard: Shard, worker: str, on_command: Callable[[WorkerCommand], None]) -> None:
    """Pass each command on, until cancelled."""
    backoff = Backoff("commands", shard.prefix)
    while True:
        seconds = FIRST_WAIT_SECONDS if backoff.is_failing else MESSAGE_WAIT_SECONDS
        try:
            command = await wait_for_message(shard, worker, (), for_work=False, seconds=seconds)
        except JobQueueError as error:
            await backoff.failed(error)
            continue
        backoff.succeeded()
        if isinstance(command, WorkerCommand):
            on_command(command)
