"""Submit new jobs. Concurrent ones share a script call; a job without an id of its own avoids unavailable shards."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.lifecycle.dependencies import register
from jobqueue.lifecycle.enqueue import EnqueueOutcome, EnqueueResult, enqueue
from jobqueue.model import NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.group_commit import GroupCommit

MAX_CALL_BYTES = 4 * 1024 * 1024
MIN_COUNTED_JOB_BYTES = MAX_CALL_BYTES // 512
"""A smaller job counts as this size, so that one call takes at most 512 jobs."""

RETRY_SECONDS = 0.3
"""Covers a connection that Redis has closed; longer outages are left to the client."""


class PendingJob(NamedTuple):
    """A job to submit.

    Attributes:
        can_change_shard: whether this manager generated the id, so that an id on another shard is as good.
    """

    job: NewJob
    can_change_shard: bool


class SubmitResult(NamedTuple):
    """The outcome of one submission.

    Attributes:
        job_id: the id of the last attempt.
        answer: the queue's answer, or the error if there is none.
    """

    job_id: str
    answer: EnqueueResult | JobQueueError


class Submitter:
    """Writes new jobs to their shards.

    Hot path: see benchmarks/README.md#http_enqueue.

    Args:
        shards: the queue.
        breaker: tells which shards are unavailable.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._breaker = breaker
        self._commits = [self._group_commit(shard) for shard in shards]

    def new_id(self, near: str | None = None) -> str:
        """Return a new id: on the shard of `near`, a unique key or a job's id, or else on the first available shard in
        rotation.
        """
        if near is not None:
            return self._shards.new_id(self._shards.of(near))
        if not self._breaker.any_open:
            return self._shards.new_id()
        available = self._breaker.available(self._shards.in_rotation())
        return self._shards.new_id(available[0] if available else None)

    def new_id_on_first_shard(self) -> str:
        """Return a new id on the first shard."""
        return self._shards.new_id(self._shards.all[0])

    async def submit(self, pending: PendingJob) -> SubmitResult:
        """Submit one job."""
        job = pending.job
        tries_left = len(self._shards)
        while True:
            try:
                return SubmitResult(job.id, await self._commits[self._shards.of(job.id).index].submit(job))
            except JobQueueError as error:
                tries_left -= 1
                if not tries_left or not self._can_move(pending, error):
                    return SubmitResult(job.id, error)
            job = job._replace(id=self.new_id())

    async def submit_all(self, pending: Sequence[PendingJob]) -> list[SubmitResult]:
        """Submit many jobs, those of one shard together; return a result for each, in order."""
        by_shard: dict[int, list[int]] = defaultdict(list)
        for index, each in enumerate(pending):
            by_shard[self._shards.of(each.job.id).index].append(index)
        results: dict[int, SubmitResult] = {}

        async def submit_part(shard_index: int, indexes: Sequence[int]) -> None:
            jobs = [pending[index].job for index in indexes]
            try:
                answers = await self._commits[shard_index].submit_all(jobs)
            except JobQueueError as error:
                # Jobs that can change shards try another one. For the others, repeating the request is safe.
                retried = await asyncio.gather(*(self._submit_elsewhere(pending[index], error) for index in indexes))
                results.update(zip(indexes, retried, strict=True))
            else:
                for index, job, answer in zip(indexes, jobs, answers, strict=True):
                    results[index] = SubmitResult(job.id, answer)

        await asyncio.gather(*(submit_part(shard_index, indexes) for shard_index, indexes in by_shard.items()))
        return [results[index] for index in range(len(pending))]

    def _can_move(self, pending: PendingJob, error: JobQueueError) -> bool:
        return (
            pending.can_change_shard
            and isinstance(error, ShardUnavailable)
            and not error.outcome_unknown
            and bool(self._breaker.available(self._shards.all))
        )

    async def _submit_elsewhere(self, pending: PendingJob, error: JobQueueError) -> SubmitResult:
        if not self._can_move(pending, error):
            return SubmitResult(pending.job.id, error)
        return await self.submit(PendingJob(pending.job._replace(id=self.new_id()), can_change_shard=True))

    def _group_commit(self, shard: Shard) -> GroupCommit[NewJob, EnqueueResult]:
        async def commit(jobs: Sequence[NewJob]) -> Sequence[EnqueueResult]:
            with self._breaker.guard(shard):
                answers = await enqueue(shard, jobs, retry_seconds=RETRY_SECONDS)
            waiting = [
                job.id
                for job, answer in zip(jobs, answers, strict=True)
                if job.depends_on and answer in (EnqueueOutcome.WRITTEN, EnqueueOutcome.REPEATED)
            ]
            if waiting:
                await register(self._shards, shard, waiting)
            return answers

        return GroupCommit(commit, weigh=_weight, max_weight=MAX_CALL_BYTES)


def _weight(job: NewJob) -> int:
    return max(len(job.data), MIN_COUNTED_JOB_BYTES)
