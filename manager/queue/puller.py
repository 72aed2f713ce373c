"""Hands results out of all shards."""

import asyncio
import math
from collections.abc import Sequence
from functools import partial

from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.pull import Order, Result
from jobqueue.sharding.shards import Shard, Shards
from manager.queue.circuit_breaker import Outages
from manager.queue.group_commit import GroupCommit
from manager.queue.shard_puller import Demand, PullSource, Share

CALL_RESULTS = 10_000
LARGE_SHARE = 1000
"""A shard that has plenty is asked for so much before another one is asked at the same time: it takes 10 to 20 ms."""
ANSWER_BYTES = 64 * 1024 * 1024
"""No more is taken once an answer is so large: what is left stays for the next pull."""
PATIENCE_SECONDS = 0.5
"""Who has results waits no longer for a shard that takes its time, and who has none asks others, too."""

_Question = asyncio.Task[Share]


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
        self._asked_in_turn = [-1] * len(shards)

    async def take(self, top: int, order: Order, lease_seconds: float) -> list[Result]:
        """Up to `top` results; shards that are away are left out.

        While shards have plenty, those whose turn it is are asked for large shares; else all are, for even ones.

        Raises:
            ShardUnavailable: no shard answered.
        """
        taken: list[tuple[Shard, Share]] = []
        left, size = top, 0
        sources = self._outages.present(self._shards.in_turn()) or self._shards.in_turn()
        asked: dict[_Question, tuple[Shard, Demand]] = {}
        failure: JobQueueError | None = None
        try:
            while left and size < ANSWER_BYTES and (sources or (asked and left == top)):
                if sources:
                    chosen = self._choose(sources, left)
                    sources = [shard for shard in sources if shard not in chosen]
                    demands = [Demand(most, order, lease_seconds) for most in _shares(left, len(chosen))]
                    questions = self._ask(chosen, demands)
                    asked |= questions
                    await asyncio.wait(questions, timeout=PATIENCE_SECONDS)
                else:
                    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                for question in [question for question in asked if question.done()]:
                    shard, demand = asked[question]
                    # One that was late may bring more than is wanted by now.
                    if demand.most > left:
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
                    if share.more:
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
        if any(self._sources[shard.index].plenty for shard in sources):
            turn = self._shards.turns.number
            # Each is asked once a turn, so that none is left alone that has got results meanwhile.
            likely = [
                shard
                for shard in sources
                if self._sources[shard.index].plenty or self._asked_in_turn[shard.index] != turn
            ]
            return likely[: math.ceil(wanted / LARGE_SHARE)]
        return sources[:wanted]

    def _ask(self, shards: Sequence[Shard], demands: Sequence[Demand]) -> dict[_Question, tuple[Shard, Demand]]:
        turn = self._shards.turns.number
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

    def _give_back(self, shard: Shard, share: Share, lease_seconds: float) -> None:
        # Results on a lease come back by themselves.
        if not lease_seconds:
            self._sources[shard.index].give_back(share)

    def _lane(self, shard: Shard) -> GroupCommit[Demand, Share]:
        async def commit(demands: Sequence[Demand]) -> Sequence[Share]:
            with self._outages.watch(shard):
                return await self._sources[shard.index].give(demands)

        return GroupCommit(commit, weigh=lambda demand: demand.most, most_weight=CALL_RESULTS)


def _shares(number: int, parts: int) -> list[int]:
    """`number` in `parts` shares as even as can be, the larger ones first."""
    return [(number + parts - 1 - part) // parts for part in range(parts)]
