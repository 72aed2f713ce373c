"""Hands results out of all shards."""

import asyncio
import math
from collections.abc import Sequence
from functools import partial

from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.pull import PulledResult, PullOrder
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.group_commit import GroupCommit
from manager.queue.shard_puller import PullBatch, PullRequest, ShardPuller

MAX_CALL_RESULTS = 10_000
LARGE_REQUEST_RESULTS = 1000
"""A shard that has plenty is asked for so much before another one is asked at the same time: it takes 10 to 20 ms."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""No more is taken once an answer is so large: what is left stays for the next pull."""
MAX_SHARD_WAIT_SECONDS = 0.5
"""Who has results waits no longer for a shard that takes its time, and who has none asks others, too."""

_Question = asyncio.Task[PullBatch]


class ResultPuller:
    """Hands results out.

    Args:
        shards: the queue.
        outages: which shards are away.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._outages = breaker
        self._sources = [ShardPuller(shard) for shard in shards]
        self._lanes = [self._lane(shard) for shard in shards]
        self._asked_in_turn = [-1] * len(shards)

    async def pull(self, top: int, order: PullOrder, lease_seconds: float) -> list[PulledResult]:
        """Up to `top` results; shards that are away are left out.

        While shards have plenty, those whose turn it is are asked for large shares; else all are, for even ones.

        Raises:
            ShardUnavailable: no shard answered.
        """
        taken: list[tuple[Shard, PullBatch]] = []
        left, size = top, 0
        sources = self._outages.available(self._shards.in_rotation()) or self._shards.in_rotation()
        asked: dict[_Question, tuple[Shard, PullRequest]] = {}
        failure: JobQueueError | None = None
        try:
            while left and size < MAX_ANSWER_BYTES and (sources or (asked and left == top)):
                if sources:
                    chosen = self._choose(sources, left)
                    sources = [shard for shard in sources if shard not in chosen]
                    demands = [PullRequest(most, order, lease_seconds) for most in _shares(left, len(chosen))]
                    questions = self._ask(chosen, demands)
                    asked |= questions
                    await asyncio.wait(questions, timeout=MAX_SHARD_WAIT_SECONDS)
                else:
                    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                for question in [question for question in asked if question.done()]:
                    shard, demand = asked[question]
                    # One that was late may bring more than is wanted by now.
                    if demand.max_results > left:
                        continue
                    del asked[question]
                    try:
                        share = question.result()
                    except JobQueueError as error:
                        failure = error
                        continue
                    taken.append((shard, share))
                    left -= len(share.results)
                    size += sum(len(result.value) for result in share.results)
                    if share.has_more:
                        sources.append(shard)
        except BaseException:
            for shard, share in taken:
                self._give_back(shard, share, lease_seconds)
            raise
        finally:
            for question, (shard, _) in asked.items():
                question.add_done_callback(partial(self._keep, shard, lease_seconds))
        if failure is not None and not taken:
            raise failure
        return [result for _, share in taken for result in share.results]

    def _choose(self, sources: Sequence[Shard], wanted: int) -> Sequence[Shard]:
        """Which of `sources`, which are in turn, to ask at the same time."""
        if any(self._sources[shard.index].has_more for shard in sources):
            turn = self._shards.rotation.slice_number
            # Each is asked once a turn, so that none is left alone that has got results meanwhile.
            likely = [
                shard
                for shard in sources
                if self._sources[shard.index].has_more or self._asked_in_turn[shard.index] != turn
            ]
            return likely[: math.ceil(wanted / LARGE_REQUEST_RESULTS)]
        return sources[:wanted]

    def _ask(
        self, shards: Sequence[Shard], demands: Sequence[PullRequest]
    ) -> dict[_Question, tuple[Shard, PullRequest]]:
        turn = self._shards.rotation.slice_number
        for shard in shards:
            self._asked_in_turn[shard.index] = turn
        return {
            asyncio.create_task(self._lanes[shard.index].submit(demand)): (shard, demand)
            for shard, demand in zip(shards, demands, strict=True)
        }

    def _keep(self, shard: Shard, lease_seconds: float, question: _Question) -> None:
        # Nobody waited for it.
        if not question.cancelled() and question.exception() is None:
            self._give_back(shard, question.result(), lease_seconds)

    def _give_back(self, shard: Shard, share: PullBatch, lease_seconds: float) -> None:
        # Results on a lease come back by themselves.
        if not lease_seconds:
            self._sources[shard.index].put_back(share)

    def _lane(self, shard: Shard) -> GroupCommit[PullRequest, PullBatch]:
        async def commit(demands: Sequence[PullRequest]) -> Sequence[PullBatch]:
            with self._outages.guard(shard):
                return await self._sources[shard.index].pull(demands)

        return GroupCommit(commit, weigh=lambda demand: demand.max_results, max_weight=MAX_CALL_RESULTS)


def _shares(number: int, parts: int) -> list[int]:
    """`number` in `parts` shares as even as can be, the larger ones first."""
    return [(number + parts - 1 - part) // parts for part in range(parts)]
