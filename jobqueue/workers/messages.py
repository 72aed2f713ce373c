"""Messages to workers: commands to one worker, and wake-ups for idle workers when jobs arrive."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.sharding.shard import Shard

COMMAND_TTL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """A message to a worker: `cancel` the job `job_id`, or `drain`."""

    verb: str
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A job may be waiting in `queue`, and this worker is the one that is to look for it."""

    queue: str


async def send_command(shard: Shard, name: str, command: WorkerCommand) -> None:
    """Leaves a message for a worker; it is read at once.

    Raises:
        ShardUnavailable: send it over another shard, workers listen on all.
    """
    key = keys.commands(shard.prefix, name)
    message = json.dumps({"verb": command.verb, "job_id": command.job_id})
    await shard.execute(("RPUSH", key, message), ("EXPIRE", key, COMMAND_TTL_SECONDS))


async def wait_for_message(
    shard: Shard, name: str, queues: Sequence[str], *, for_work: bool, seconds: float
) -> WorkerCommand | WakeUp | None:
    """Waits for a message, or, with `for_work`, for a job that may be there.

    Returns:
        The message; `Woken` when it is time to look for work, which is also where nobody woke this worker and a queue
        has jobs after `seconds` all the same; None when they are over and there is nothing.

    Raises:
        ShardUnavailable: the master is away.
    """
    watched = queues if for_work else ()
    own_key = keys.commands(shard.prefix, name)
    wake_keys = [keys.wake(shard.prefix, queue) for queue in watched]
    # In one write: Redis looks at the queues when the waiting is over.
    answer, *lengths = await shard.execute(
        ("BLPOP", own_key, *wake_keys, repr(seconds)),
        *(("LLEN", keys.queue(shard.prefix, queue)) for queue in watched),
        timeout_seconds=seconds + 5.0,
    )
    if answer is None:
        return next((WakeUp(queue) for queue, length in zip(watched, lengths, strict=True) if length), None)
    key = answer[0].decode()
    if key != own_key:
        return WakeUp(key.removeprefix(keys.wake(shard.prefix, "")))
    message = json.loads(answer[1])
    return WorkerCommand(message["verb"], message.get("job_id", ""))


async def pass_wake_up(shard: Shard, wake_up: WakeUp) -> None:
    """Passes a token on: whoever it woke has no room for the job any more.

    Raises:
        ShardUnavailable, QueueFull: others look by themselves before long.
    """
    await shard.execute(("RPUSH", keys.wake(shard.prefix, wake_up.queue), "1"))
