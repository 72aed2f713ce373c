"""Cancel, requeue, delete and acknowledge jobs; concurrent operations on one shard share a script call."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from jobqueue.lifecycle import control
from jobqueue.lifecycle.control import CancelResult
from jobqueue.lifecycle.pull import acknowledge_each
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.group_commit import GroupCommit

MAX_CALL_JOBS = 512

Answer = TypeVar("Answer")
Operation = Callable[[Shard, Sequence[str], Sequence[str | None]], Awaitable[Sequence[Answer]]]
"""Applies one operation to jobs of one shard, by id and the queue that each must be in (None for any), and returns an
answer for each."""
_Job = tuple[str, str | None]


class _BatchedOperation(Generic[Answer]):
    """One operation with a group commit per shard."""

    def __init__(self, shards: Shards, breaker: ShardBreaker, operation: Operation[Answer]) -> None:
        self._shards = shards
        self._commits = [_group_commit(shard, breaker, operation) for shard in shards]

    async def apply(self, shard: Shard, job_id: str, queue: str | None) -> Answer:
        """Apply the operation to a job of that shard."""
        return await self._commits[shard.index].submit((job_id, queue))

    async def apply_all(self, job_ids: Sequence[str]) -> list[Answer]:
        """Apply the operation to jobs on the shards that their ids hash to; return answers in no particular order."""
        by_shard: dict[int, list[_Job]] = defaultdict(list)
        for job_id in job_ids:
            by_shard[self._shards.of(job_id).index].append((job_id, None))
        parts = await asyncio.gather(*(self._commits[index].submit_all(jobs) for index, jobs in by_shard.items()))
        return [answer for part in parts for answer in part]


class JobOperations:
    """Cancels, requeues, deletes and acknowledges jobs.

    Where a queue is given, a job that is in another one by now is missing.

    Every method raises ShardUnavailable if the job's shard is unavailable; repeating the call is safe.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._breaker = breaker
        self._cancel = _BatchedOperation[CancelResult](shards, breaker, control.cancel)
        self._requeue = _BatchedOperation[str](shards, breaker, control.requeue)
        self._delete = _BatchedOperation[str](shards, breaker, control.delete)
        self._acknowledge = _BatchedOperation[bool](shards, breaker, _acknowledge)

    async def cancel(self, job_id: str, queue: str | None) -> CancelResult:
        """See `jobqueue.lifecycle.control.cancel`."""
        answer = await self._cancel.apply(self._shards.of(job_id), job_id, queue)
        if answer.outcome == "missing" and (actual_shard := await self._find_elsewhere(job_id)):
            return await self._cancel.apply(actual_shard, job_id, queue)
        return answer

    async def requeue(self, job_id: str, queue: str | None) -> str:
        """See `jobqueue.lifecycle.control.requeue`."""
        return await self._on_any_shard(self._requeue, job_id, queue)

    async def delete(self, job_id: str, queue: str | None) -> str:
        """See `jobqueue.lifecycle.control.delete`."""
        return await self._on_any_shard(self._delete, job_id, queue)

    async def acknowledge(self, job_ids: Sequence[str]) -> int:
        """Acknowledge leased results and return how many of them were waiting for it.

        Only jobs submitted over HTTP can be acknowledged, and their ids hash to their shard.
        """
        return sum(await self._acknowledge.apply_all(job_ids))

    async def requeue_failed(self, queue: str) -> int:
        """Requeue the failed jobs of a queue on all shards, see `jobqueue.lifecycle.control.requeue_failed`.

        If one shard is unavailable, jobs of the others are requeued all the same.
        """

        async def on_shard(shard: Shard) -> int:
            with self._breaker.guard(shard):
                return await control.requeue_failed(shard, queue)

        answers = await asyncio.gather(*(on_shard(shard) for shard in self._shards), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return sum(answer for answer in answers if isinstance(answer, int))

    async def _on_any_shard(self, operation: _BatchedOperation[str], job_id: str, queue: str | None) -> str:
        answer = await operation.apply(self._shards.of(job_id), job_id, queue)
        if answer == "missing" and (actual_shard := await self._find_elsewhere(job_id)):
            return await operation.apply(actual_shard, job_id, queue)
        return answer

    async def _find_elsewhere(self, job_id: str) -> Shard | None:
        # Plain RQ clients write all their jobs to the one shard they know, whatever the ids hash to.
        return await find_shard(self._shards, job_id) if len(self._shards) > 1 else None


async def _acknowledge(shard: Shard, job_ids: Sequence[str], _: Sequence[str | None]) -> Sequence[bool]:
    return await acknowledge_each(shard, job_ids)


def _group_commit(shard: Shard, breaker: ShardBreaker, operation: Operation[Answer]) -> GroupCommit[_Job, Answer]:
    async def commit(jobs: Sequence[_Job]) -> Sequence[Answer]:
        with breaker.guard(shard):
            return await operation(shard, [job_id for job_id, _ in jobs], [queue for _, queue in jobs])

    return GroupCommit(commit, weigh=lambda _: 1, max_weight=MAX_CALL_JOBS)
