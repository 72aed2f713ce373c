"""Hands results out of all shards."""

import asyncio
import random
from collections.abc import Sequence
from functools import partial

from jobqueue.errors import JobQueueError
from jobqueue.pull import Order, Result
from jobqueue.shards import Shard, Shards
from manager.group_commit import GroupCommit
from manager.outages import Outages
from manager.pull_source import Demand, PullSource, Share

CALL_RESULTS = 10_000
ANSWER_BYTES = 64 * 1024 * 1024
"""No more is taken once an answer is so large: what is left stays for the next pull."""
PATIENCE_SECONDS = 0.5
"""Who has results waits no longer for a shard that takes its time."""


class Pulls:
    """Hands results out.

    Args:
        shards: the queue.
        outages: which shards are away.
    """

    def __init__(self, shards: Shards, outages: Outages) -> None:
        self._shards = shards
        self._outages = outages
        self._sources = [PullSource(shard) for shard in shards]
        self._lanes = [self._lane(shard) for shard in shards]

    async def take(self, top: int, order: Order, lease_seconds: float) -> list[Result]:
        """Up to `top` results, a fair part from each shard; shards that are away are left out.

        Raises:
            ShardUnavailable: no shard answered.
        """
        results: list[Result] = []
        size = 0
        sources = self._outages.present(self._shards.all) or list(self._shards.all)
        # Not always the same shard gets the odd one.
        random.shuffle(sources)
        answered, failure = False, None
        while sources and len(results) < top and size < ANSWER_BYTES:
            quotas = _shares(top - len(results), len(sources))
            demands = [Demand(quota, order, lease_seconds) for quota in quotas if quota]
            asked, sources = sources[: len(demands)], sources[len(demands) :]
            for shard, answer in await self._ask(asked, demands):
                if isinstance(answer, JobQueueError):
                    failure = answer
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                answered = True
                results += answer.results
                size += sum(len(result.value) for result in answer.results)
                if answer.more:
                    sources.append(shard)
        if failure is not None and not answered:
            raise failure
        return results

    async def _ask(
        self, shards: Sequence[Shard], demands: Sequence[Demand]
    ) -> list[tuple[Shard, Share | BaseException]]:
        """The answers of all shards, or, where some take their time, of the others if these have something."""
        questions = {
            asyncio.create_task(self._lanes[shard.index].submit(demand)): shard
            for shard, demand in zip(shards, demands, strict=True)
        }
        heeded: set[asyncio.Task[Share]] = set()
        try:
            heeded, late = await asyncio.wait(questions, timeout=PATIENCE_SECONDS)
            if late and not any(question.exception() is None and question.result().results for question in heeded):
                await asyncio.wait(late)
                heeded = {*questions}
        finally:
            for question in questions.keys() - heeded:
                question.add_done_callback(partial(self._keep, questions[question], demands[0]))
        return [(questions[one], one.exception() or one.result()) for one in questions if one in heeded]

    def _keep(self, shard: Shard, demand: Demand, question: asyncio.Task[Share]) -> None:
        # Nobody waited for it. Results on a lease come back by themselves.
        if not question.cancelled() and question.exception() is None and not demand.lease_seconds:
            self._sources[shard.index].give_back(question.result())

    def _lane(self, shard: Shard) -> GroupCommit[Demand, Share]:
        async def commit(demands: Sequence[Demand]) -> Sequence[Share]:
            with self._outages.watch(shard):
                return await self._sources[shard.index].give(demands)

        return GroupCommit(commit, weigh=lambda demand: demand.most, most_weight=CALL_RESULTS)


def _shares(number: int, parts: int) -> list[int]:
    """`number` in `parts` shares as even as can be, the larger ones first."""
    return [(number + parts - 1 - part) // parts for part in range(parts)]
