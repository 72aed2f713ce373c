"""Messages to workers: commands to one worker, and wake-ups for idle workers when jobs arrive."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.audit import Author, author_argument
from jobqueue.errors import UnexpectedContent
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of

COMMAND_TTL_SECONDS = 60
SAMPLED_QUEUES = 16
"""A worker that serves every queue looks at this many, drawn at random, when nothing has woken it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """A command to one worker: `cancel` the job `job_id`, `kill` all running jobs, which fail, or `drain`."""

    verb: str
    job_id: str = ""

    def to_json(self) -> str:
        """Return the command as it is stored in Redis."""
        return json.dumps({"verb": self.verb, "job_id": self.job_id})

    @classmethod
    def from_json(cls, text: bytes) -> "WorkerCommand":
        """Parse what `to_json` returns.

        Raises:
            ValueError: it is something else.
        """
        try:
            message = json.loads(text.decode())
            return cls(str(message["verb"]), str(message.get("job_id", "")))
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError("a command is a JSON object with `verb` and `job_id`") from error


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A job may be waiting in `queue`, and this worker should claim it: it has taken a wake-up token.

    The queue is `*` for a worker that serves every queue.
    """

    queue: str


async def send_command(shard: Shard, name: str, command: WorkerCommand) -> None:
    """Send a command to a worker, which blocks on it.

    Raises:
        ShardUnavailable: send it over another shard; workers listen on all of them.
    """
    key = keys.commands(shard.prefix, name)
    await shard.execute(("RPUSH", key, command.to_json()), ("EXPIRE", key, COMMAND_TTL_SECONDS))


async def drain_worker(shard: Shard, name: str, author: Author) -> None:
    """Tell a worker to drain. A worker that is not there within `COMMAND_TTL_SECONDS` is not told.

    Args:
        author: who is noted in the audit stream.

    Raises:
        ShardUnavailable: as above; a repeat is safe.
    """
    message = WorkerCommand("drain").to_json()
    await shard.run(script("drain_worker"), name, message, COMMAND_TTL_SECONDS, author_argument(author), replicate=True)


async def wait_for_message(
    shard: Shard, name: str, queues: Sequence[str], *, for_work: bool, seconds: float, sample: list[bytes] | None = None
) -> WorkerCommand | WakeUp | None:
    """Wait up to `seconds` for a command or, with `for_work`, also for a wake-up.

    Args:
        sample: where a worker that serves every queue keeps the keys of those that the next call looks at. Without it,
            a call that times out needs one more round trip.

    Returns:
        The command, or a `WakeUp` if a job may be waiting. That includes a timeout when a queue is not empty. None if
        the timeout expires and there is nothing.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    watched = tuple(queues) if for_work else ()
    own_key = keys.commands(shard.prefix, name)
    wake_keys = [keys.wake(shard.prefix, queue) for queue in watched]
    look: list[tuple[str | bytes | int, ...]] = [("LLEN", keys.queue(shard.prefix, queue)) for queue in watched]
    if watched == ALL_QUEUES:
        look = _look_at_any_queue(shard, sample or ())
    try:
        # One write: Redis looks at the queues once BLPOP has returned.
        popped, *found = await shard.execute(
            ("BLPOP", own_key, *wake_keys, repr(seconds)), *look, timeout_seconds=seconds + 5.0
        )
    except UnexpectedContent:
        await _delete_unless_lists(shard, own_key, *wake_keys)
        raise
    if popped is None and watched == ALL_QUEUES:
        in_turn, drawn, *existing = found
        drawn = [key for key in drawn if key.startswith(keys.queue(shard.prefix, "").encode())]
        if not existing and drawn:
            existing = await shard.execute(("EXISTS", *drawn))
        if sample is not None:
            sample[:] = drawn
        return WakeUp("*") if in_turn or any(existing) else None
    if popped is None:
        return next((WakeUp(queue) for queue, length in zip(watched, found, strict=True) if length), None)
    key = name_of(popped[0])
    if key != own_key:
        return WakeUp(key.removeprefix(keys.wake(shard.prefix, "")))
    try:
        return WorkerCommand.from_json(popped[1])
    except ValueError as error:
        log.warning("event=command_unreadable shard=%s worker=%s error=%r", shard.prefix, name, str(error))
        return None


async def _delete_unless_lists(shard: Shard, *list_keys: str) -> None:
    """Delete those of the keys that are no lists: the message that it should be can only be sent again."""
    lengths = await shard.execute(*(("LLEN", key) for key in list_keys), tolerate_wrong_types=True)
    wrong = [key for key, length in zip(list_keys, lengths, strict=True) if length is None]
    if wrong:
        await shard.execute(("DEL", *wrong))


def _look_at_any_queue(shard: Shard, sample: Sequence[bytes]) -> list[tuple[str | bytes | int, ...]]:
    look: list[tuple[str | bytes | int, ...]] = [
        ("ZCARD", keys.turns(shard.prefix)),
        # Jobs of plain RQ clients take no turn until a manager has seen them; perhaps none is running.
        ("SRANDMEMBER", keys.queues(shard.prefix), SAMPLED_QUEUES),
    ]
    if sample:
        look.append(("EXISTS", *sample))
    return look


async def pass_wake_up(shard: Shard, wake_up: WakeUp) -> None:
    """Put a wake-up token back for another worker, because this one has no capacity for the job any more.

    Raises:
        ShardUnavailable, QueueFull: idle workers look at the queues before long anyway.
    """
    await shard.execute(("RPUSH", keys.wake(shard.prefix, wake_up.queue), "1"))
