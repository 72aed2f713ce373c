"""Which queues have a worker, and pausing: what decides whether the jobs of a queue can run at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobqueue import keys
from jobqueue.audit import Author, author_argument
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import iso

_GROUP_SIZES = (100, 10, 1)
"""How many queues one command asks about. If only some of them have a worker, smaller groups are asked about next."""


@dataclass(frozen=True, slots=True)
class WorkersOfQueues:
    """What the registered workers serve, plain RQ workers included.

    Attributes:
        served: those of the queues asked for that a worker names; none, if a worker serves every queue.
        every_queue: a worker serves every queue.
        any_worker: there is a worker at all.
    """

    served: frozenset[str]
    every_queue: bool
    any_worker: bool


async def read_workers_of_queues(shard: Shard, queues: Sequence[str]) -> WorkersOfQueues:
    """Read which of these queues a worker serves. A worker that died counts for up to a minute.

    Raises:
        ShardUnavailable: try another shard; workers register on all of them.
    """
    prefix = shard.prefix
    any_worker, every_queue = await shard.execute(("EXISTS", keys.workers(prefix)), _exists(prefix, ALL_QUEUES))
    served, asked = set[str](), [] if every_queue else list(queues)
    for size in _GROUP_SIZES:
        groups = [asked[start : start + size] for start in range(0, len(asked), size)]
        counts = await shard.execute(*(_exists(prefix, group) for group in groups)) if groups else ()
        asked = []
        for group, count in zip(groups, counts, strict=True):
            if count == len(group):
                served.update(group)
            elif count:
                asked += group
    return WorkersOfQueues(frozenset(served), bool(every_queue), bool(any_worker))


def _exists(prefix: str, queues: Sequence[str]) -> tuple[str, ...]:
    """Return the command that counts for how many of these queues there is a worker."""
    return ("EXISTS", *(keys.workers_of_queue(prefix, queue) for queue in queues))


async def pause_queue(shard: Shard, queue: str, author: Author | None = None, *, now: float | None = None) -> None:
    """Pause a queue: workers take no job of it until it is resumed. Jobs that run go on.

    Args:
        author: on the first shard, who is noted in the audit stream.

    Raises:
        ShardUnavailable: try again.
    """
    await shard.run(script("pause_queue"), queue, iso(now), author_argument(author), replicate=True)


async def resume_queue(shard: Shard, queue: str, author: Author | None = None) -> None:
    """End a pause, and wake idle workers for the jobs that have waited.

    Args:
        author: as above.

    Raises:
        ShardUnavailable: try again.
    """
    await shard.run(script("pause_queue"), queue, "", author_argument(author), replicate=True)
