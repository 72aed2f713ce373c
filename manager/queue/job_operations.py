"""Changes of mind and acknowledgements: concurrent ones to one shard share a script call."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from jobqueue.inspection.job_views import find_shard
from jobqueue.lifecycle import control
from jobqueue.lifecycle.control import CancelResult
from jobqueue.lifecycle.pull import acknowledge_each
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.group_commit import GroupCommit

MAX_CALL_JOBS = 512

Answer = TypeVar("Answer")
Verb = Callable[[Shard, Sequence[str]], Awaitable[Sequence[Answer]]]


class _Lanes(Generic[Answer]):
    """One verb of the queue, a group commit for each shard."""

    def __init__(self, shards: Shards, outages: ShardBreaker, verb: Verb[Answer]) -> None:
        self._shards = shards
        self._lanes = [_lane(shard, outages, verb) for shard in shards]

    async def on(self, shard: Shard, job_id: str) -> Answer:
        """Applies the verb to a job of that shard."""
        return await self._lanes[shard.index].submit(job_id)

    async def all(self, job_ids: Sequence[str]) -> list[Answer]:
        """Applies the verb to jobs on the shards that their ids belong to; answers in no particular order."""
        by_shard: dict[int, list[str]] = defaultdict(list)
        for job_id in job_ids:
            by_shard[self._shards.of(job_id).index].append(job_id)
        parts = await asyncio.gather(*(self._lanes[index].submit_all(ids) for index, ids in by_shard.items()))
        return [answer for part in parts for answer in part]


class JobOperations:
    """Cancels, requeues, deletes and acknowledges.

    Every method raises ShardUnavailable where the job's shard is away; repeating it is safe.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._outages = breaker
        self._cancel = _Lanes[CancelResult](shards, breaker, control.cancel)
        self._requeue = _Lanes[str](shards, breaker, control.requeue)
        self._delete = _Lanes[str](shards, breaker, control.delete)
        self._acknowledge = _Lanes[bool](shards, breaker, acknowledge_each)

    async def cancel(self, job_id: str) -> CancelResult:
        """See `jobqueue.lifecycle.control.cancel`."""
        answer = await self._cancel.on(self._shards.of(job_id), job_id)
        if answer.outcome == "missing" and (elsewhere := await self._elsewhere(job_id)):
            return await self._cancel.on(elsewhere, job_id)
        return answer

    async def requeue(self, job_id: str) -> str:
        """See `jobqueue.lifecycle.control.requeue`."""
        return await self._on_any_shard(self._requeue, job_id)

    async def delete(self, job_id: str) -> str:
        """See `jobqueue.lifecycle.control.delete`."""
        return await self._on_any_shard(self._delete, job_id)

    async def acknowledge(self, job_ids: Sequence[str]) -> int:
        """How many of the results were waiting for it. Jobs of HTTP clients alone, whose ids name their shard."""
        return sum(await self._acknowledge.all(job_ids))

    async def requeue_failed(self, queue: str) -> int:
        """See `jobqueue.lifecycle.control.requeue_failed`; on all shards, and what was requeued stays so where one is away."""

        async def on(shard: Shard) -> int:
            with self._outages.guard(shard):
                return await control.requeue_failed(shard, queue)

        answers = await asyncio.gather(*(on(shard) for shard in self._shards), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return sum(answer for answer in answers if isinstance(answer, int))

    async def _on_any_shard(self, lanes: _Lanes[str], job_id: str) -> str:
        answer = await lanes.on(self._shards.of(job_id), job_id)
        if answer == "missing" and (elsewhere := await self._elsewhere(job_id)):
            return await lanes.on(elsewhere, job_id)
        return answer

    async def _elsewhere(self, job_id: str) -> Shard | None:
        # Stock clients write all their jobs to the one shard they know, whatever their ids.
        return await find_shard(self._shards, job_id) if len(self._shards) > 1 else None


def _lane(shard: Shard, outages: ShardBreaker, verb: Verb[Answer]) -> GroupCommit[str, Answer]:
    async def commit(job_ids: Sequence[str]) -> Sequence[Answer]:
        with outages.guard(shard):
            return await verb(shard, job_ids)

    return GroupCommit(commit, weigh=lambda _: 1, max_weight=MAX_CALL_JOBS)
