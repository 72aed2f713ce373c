"""Job counts, workers and readiness, gathered from all shards that answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.errors import JobQueueError, QueueFull, ShardUnavailable
from jobqueue.inspection.counters import ShardCounts, read_counts
from jobqueue.inspection.job_views import LISTED_PART
from jobqueue.inspection.stored_jobs import read_jobs
from jobqueue.inspection.times import read_times
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerView, list_workers
from manager.queue.circuit_breaker import ShardBreaker

PROBE_TIMEOUT_SECONDS = 1.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Answer]):
    """The answers of all shards to one question.

    Attributes:
        answers: those of the shards that answered, by index.
        unavailable: how many shards did not.
    """

    answers: Mapping[int, Answer]
    unavailable: int


@dataclass(frozen=True, slots=True)
class WritableShards:
    """Which shards serve this manager.

    Attributes:
        reasons: why others do not, such as what they refuse to its Redis user, and what to do.
    """

    writable: int
    total: int
    reasons: tuple[str, ...]


class Overview:
    """Asks every shard and combines the answers.

    All but `ready` raise ShardUnavailable if no shard answers.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._breaker = breaker

    async def counts(self) -> tuple[ShardCounts, int]:
        """Return the sum of the counts, and how many shards are missing from it because they are unavailable."""
        gathered = await self._gather(read_counts)
        return sum(gathered.answers.values(), ShardCounts()), gathered.unavailable

    async def counts_by_shard(self) -> Mapping[int, ShardCounts]:
        """Return the counts of each shard that answers, by its index."""
        return (await self._gather(read_counts)).answers

    async def workers(self) -> list[WorkerView]:
        """Return the workers that any shard lists, sorted by name."""
        gathered = await self._gather(list_workers)
        # A worker registers on every shard and reports the same counts to all of them.
        by_name = {worker.name: worker for workers in gathered.answers.values() for worker in workers}
        return [by_name[name] for name in sorted(by_name)]

    async def times_by_shard(self) -> Mapping[int, Mapping[bytes, bytes]]:
        """Return the histograms of jobs' times, as they are stored, of each shard that answers, by its index."""
        return (await self._gather(read_times)).answers

    async def ready(self) -> WritableShards:
        """Return how many shards accept writes and serve this manager's calls, and why others do not."""
        refusals = await asyncio.gather(*(_refusal(shard) for shard in self._shards))
        reasons = dict.fromkeys(refusal for refusal in refusals if refusal)
        return WritableShards(refusals.count(None), len(refusals), tuple(reasons))

    async def _gather(self, question: Callable[[Shard], Awaitable[Answer]]) -> Gathered[Answer]:
        async def ask(shard: Shard) -> Answer:
            with self._breaker.guard(shard):
                return await question(shard)

        outcomes = await asyncio.gather(*(ask(shard) for shard in self._shards), return_exceptions=True)
        answers: dict[int, Answer] = {}
        failure: ShardUnavailable | None = None
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, ShardUnavailable):
                failure = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                answers[index] = outcome
        if failure is not None and not answers:
            raise failure
        return Gathered(answers, len(outcomes) - len(answers))


async def _refusal(shard: Shard) -> str | None:
    """Return None if the shard accepts writes, else why it does not, as far as that is known."""
    try:
        # The key never exists, so deleting it changes nothing, but only a master that accepts writes answers.
        await shard.execute(("DEL", keys.probe(shard.prefix)), timeout_seconds=PROBE_TIMEOUT_SECONDS)
        # Whether the user may call our functions and look at the memory, as every submission does.
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await read_jobs(shard, (), LISTED_PART, 1)
            with suppress(QueueFull):
                await shard.ensure_memory()
    except TimeoutError:
        return ""
    except (JobQueueError, RedisError) as error:
        return str(error)
    return None
