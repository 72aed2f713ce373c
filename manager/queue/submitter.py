"""Takes new jobs in: concurrent ones to one shard share a script call, those that may move avoid outages."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.lifecycle.enqueue import EnqueueResult, enqueue
from jobqueue.model import NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.group_commit import GroupCommit

MAX_CALL_BYTES = 4 * 1024 * 1024
MIN_COUNTED_JOB_BYTES = MAX_CALL_BYTES // 512
"""A job counts as at least so large: one call takes at most 512 jobs."""

RETRY_SECONDS = 0.3
"""Covers a connection that Redis has closed; longer outages are the client's to wait for."""


class PendingJob(NamedTuple):
    """A job to be taken in.

    Attributes:
        movable: whether its id was drawn here, so that another id, on another shard, is as good.
    """

    job: NewJob
    can_change_shard: bool


class SubmitResult(NamedTuple):
    """What became of an arrival.

    Attributes:
        job_id: under which it was tried last.
        answer: of the queue, or why there is none.
    """

    job_id: str
    answer: EnqueueResult | JobQueueError


class Submitter:
    """The way of new jobs into the queue.

    Args:
        shards: the queue.
        outages: which shards are away.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._outages = breaker
        self._lanes = [self._lane(shard) for shard in shards]

    def new_id(self, unique_key: str | None = None) -> str:
        """A new id: of the shard that a unique key belongs to, else of the first in turn that is not away."""
        if unique_key is not None:
            return self._shards.new_id(self._shards.of(unique_key))
        if not self._outages.any_open:
            return self._shards.new_id()
        present = self._outages.available(self._shards.in_rotation())
        return self._shards.new_id(present[0] if present else None)

    async def submit(self, pending: PendingJob) -> SubmitResult:
        """Takes one job in."""
        job = pending.job
        tries_left = len(self._shards)
        while True:
            try:
                return SubmitResult(job.id, await self._lanes[self._shards.of(job.id).index].submit(job))
            except JobQueueError as error:
                tries_left -= 1
                if not tries_left or not self._may_move(pending, error):
                    return SubmitResult(job.id, error)
            job = job._replace(id=self.new_id())

    async def submit_all(self, pending: Sequence[PendingJob]) -> list[SubmitResult]:
        """Takes many in, those of one shard together; an answer for each, in order."""
        by_shard: dict[int, list[int]] = defaultdict(list)
        for place, arrival in enumerate(pending):
            by_shard[self._shards.of(arrival.job.id).index].append(place)
        taken: dict[int, SubmitResult] = {}

        async def take_part(index: int, places: Sequence[int]) -> None:
            jobs = [pending[place].job for place in places]
            try:
                answers = await self._lanes[index].submit_all(jobs)
            except JobQueueError as error:
                # Those that may move go elsewhere; a repeat of the others is safe.
                again = await asyncio.gather(*(self._take_again(pending[place], error) for place in places))
                taken.update(zip(places, again, strict=True))
            else:
                for place, job, answer in zip(places, jobs, answers, strict=True):
                    taken[place] = SubmitResult(job.id, answer)

        await asyncio.gather(*(take_part(index, places) for index, places in by_shard.items()))
        return [taken[place] for place in range(len(pending))]

    def _may_move(self, arrival: PendingJob, error: JobQueueError) -> bool:
        return (
            arrival.can_change_shard
            and isinstance(error, ShardUnavailable)
            and not error.outcome_unknown
            and bool(self._outages.available(self._shards.all))
        )

    async def _take_again(self, arrival: PendingJob, error: JobQueueError) -> SubmitResult:
        if not self._may_move(arrival, error):
            return SubmitResult(arrival.job.id, error)
        return await self.submit(PendingJob(arrival.job._replace(id=self.new_id()), can_change_shard=True))

    def _lane(self, shard: Shard) -> GroupCommit[NewJob, EnqueueResult]:
        async def commit(jobs: Sequence[NewJob]) -> Sequence[EnqueueResult]:
            with self._outages.guard(shard):
                return await enqueue(shard, jobs, retry_seconds=RETRY_SECONDS)

        return GroupCommit(commit, weigh=_weight, max_weight=MAX_CALL_BYTES)


def _weight(job: NewJob) -> int:
    return max(len(job.data), MIN_COUNTED_JOB_BYTES)
