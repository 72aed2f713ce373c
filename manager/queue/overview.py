"""The whole queue at a glance: counts, workers, readiness, over all shards that answer."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.inspection.counters import ShardCounts, read_counts
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, list_workers
from manager.queue.circuit_breaker import ShardBreaker

PROBE_TIMEOUT_SECONDS = 1.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Answer]):
    """What the shards said.

    Attributes:
        answers: of those that answered.
        away: how many did not.
    """

    answers: tuple[Answer, ...]
    unavailable: int


class Overview:
    """Asks every shard and puts the answers together.

    `counts` and `workers` raise ShardUnavailable where no shard answers.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._outages = breaker

    async def counts(self) -> tuple[ShardCounts, int]:
        """The sum of the counts, and how many shards are left out because they are away."""
        survey = await self._survey(read_counts)
        return sum(survey.answers, ShardCounts()), survey.unavailable

    async def workers(self) -> list[WorkerView]:
        """The workers that any shard lists, by name."""
        survey = await self._survey(list_workers)
        # A worker stands on every shard; the counts that it reports are the same on all.
        by_name = {worker.name: worker for workers in survey.answers for worker in workers}
        return [by_name[name] for name in sorted(by_name)]

    async def ready(self) -> tuple[int, int]:
        """How many shards take writes, and how many there are."""
        answers = await asyncio.gather(*(_takes_writes(shard) for shard in self._shards))
        return sum(answers), len(answers)

    async def _survey(self, question: Callable[[Shard], Awaitable[Answer]]) -> Gathered[Answer]:
        async def ask(shard: Shard) -> Answer:
            with self._outages.guard(shard):
                return await question(shard)

        outcomes = await asyncio.gather(*(ask(shard) for shard in self._shards), return_exceptions=True)
        answers: list[Answer] = []
        failure: ShardUnavailable | None = None
        for outcome in outcomes:
            if isinstance(outcome, ShardUnavailable):
                failure = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                answers.append(outcome)
        if failure is not None and not answers:
            raise failure
        return Gathered(tuple(answers), len(outcomes) - len(answers))


async def _takes_writes(shard: Shard) -> bool:
    # Removing what never stood there changes nothing, but only a master that takes writes does it.
    try:
        await shard.execute(("DEL", keys.probe(shard.prefix)), timeout_seconds=PROBE_TIMEOUT_SECONDS)
    except (JobQueueError, RedisError):
        return False
    return True
