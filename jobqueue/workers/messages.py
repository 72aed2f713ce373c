"""Messages to workers: commands to one worker, and wake-ups for idle workers when jobs arrive."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.sharding.shard import Shard

COMMAND_TTL_SECONDS = 60


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """A command to one worker: `cancel` the job `job_id`, or `drain`."""

    verb: str
    job_id: str = ""

    def to_json(self) -> str:
        """Return the command as it is stored in Redis."""
        return json.dumps({"verb": self.verb, "job_id": self.job_id})

    @classmethod
    def from_json(cls, text: bytes) -> "WorkerCommand":
        """Parse what `to_json` returns."""
        message = json.loads(text)
        return cls(message["verb"], message.get("job_id", ""))


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A job may be waiting in `queue`, and this worker should claim it: it has taken a wake-up token."""

    queue: str


async def send_command(shard: Shard, name: str, command: WorkerCommand) -> None:
    """Send a command to a worker, which blocks on it.

    Raises:
        ShardUnavailable: send it over another shard; workers listen on all of them.
    """
    key = keys.commands(shard.prefix, name)
    await shard.execute(("RPUSH", key, command.to_json()), ("EXPIRE", key, COMMAND_TTL_SECONDS))


async def wait_for_message(
    shard: Shard, name: str, queues: Sequence[str], *, for_work: bool, seconds: float
) -> WorkerCommand | WakeUp | None:
    """Wait up to `seconds` for a command or, with `for_work`, also for a wake-up.

    Returns:
        The command, or a `WakeUp` if a job may be waiting. That includes a timeout when a queue is not empty. None if
        the timeout expires and there is nothing.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    watched = queues if for_work else ()
    own_key = keys.commands(shard.prefix, name)
    wake_keys = [keys.wake(shard.prefix, queue) for queue in watched]
    # One write: Redis executes LLEN once BLPOP has returned.
    popped, *lengths = await shard.execute(
        ("BLPOP", own_key, *wake_keys, repr(seconds)),
        *(("LLEN", keys.queue(shard.prefix, queue)) for queue in watched),
        timeout_seconds=seconds + 5.0,
    )
    if popped is None:
        return next((WakeUp(queue) for queue, length in zip(watched, lengths, strict=True) if length), None)
    key = popped[0].decode()
    if key != own_key:
        return WakeUp(key.removeprefix(keys.wake(shard.prefix, "")))
    return WorkerCommand.from_json(popped[1])


async def pass_wake_up(shard: Shard, wake_up: WakeUp) -> None:
    """Put a wake-up token back for another worker, because this one has no capacity for the job any more.

    Raises:
        ShardUnavailable, QueueFull: idle workers look at the queues before long anyway.
    """
    await shard.execute(("RPUSH", keys.wake(shard.prefix, wake_up.queue), "1"))
