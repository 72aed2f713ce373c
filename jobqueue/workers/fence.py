"""Fencing workers off from the queue before they drain: their claims return nothing any more.

A fence is for good. A hold is its first step for a worker that nobody needs at the moment: it ends by itself, and it is
refused while a job waits that the worker could run. Only a worker that is held on every shard is fenced.
"""

from collections.abc import Sequence

from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import COMMAND_TTL_SECONDS, WorkerCommand

FENCE_TTL_SECONDS = 86_400
"""How long a fence is kept: longer than any instance takes to terminate. Worker names are never used again."""
HOLD_SECONDS = 10
"""How long a hold lasts at most: only if its manager has died. Otherwise the worker is fenced or released at once."""


async def hold_workers(shard: Shard, names: Sequence[str], token: str) -> set[str]:
    """Hold those of these workers for which no job waits on the shard.

    Args:
        token: names this hold, for its release.

    Returns:
        The workers that are held, or fenced already. The others can claim jobs as before.

    Raises:
        ShardUnavailable: some may be held. Release them, or their holds end by themselves.
    """
    answers = await shard.run(script("hold_workers"), token, HOLD_SECONDS, *names)
    return {name for name, held in zip(names, answers, strict=True) if held}


async def release_workers(shard: Shard, names: Sequence[str], token: str) -> None:
    """End the holds of these workers that were set with this token. The managers wake workers for jobs that came.

    Raises:
        ShardUnavailable: the holds end by themselves.
    """
    await shard.run(script("release_workers"), token, *names)


async def fence_worker(shard: Shard, name: str) -> None:
    """Fence a worker off from the shard, for a day: its claims return nothing, and it gets a `drain` command.

    Raises:
        ShardUnavailable: try again.
    """
    drain = WorkerCommand("drain").to_json()
    await shard.run(script("fence_worker"), name, FENCE_TTL_SECONDS, drain, COMMAND_TTL_SECONDS, replicate=True)
