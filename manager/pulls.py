"""Hands results out of all shards, and waits for them."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.pull import PULL_BYTES, Order, Result, pull
from jobqueue.shards import Shard, Shards
from manager.group_commit import GroupCommit
from manager.outages import Outages

RETRY_SECONDS = 0.3
CALL_RESULTS = 10_000
ANSWER_BYTES = 64 * 1024 * 1024
"""No more is taken once an answer is so large: what is left stays for the next pull."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is wanted of one shard; equal `order` and `lease_seconds` share a script call."""

    most: int
    order: Order
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Share:
    """What one shard gave; `more` where it may have more, which would have been too large together, or too many."""

    results: Sequence[Result]
    more: bool


class Pulls:
    """Hands results out.

    Args:
        shards: the queue.
        outages: which shards are away.
    """

    def __init__(self, shards: Shards, outages: Outages) -> None:
        self._shards = shards
        self._outages = outages
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
            asked, idle = sources[: len(demands)], sources[len(demands) :]
            answers = await asyncio.gather(
                *(self._lanes[shard.index].submit(demand) for shard, demand in zip(asked, demands, strict=True)),
                return_exceptions=True,
            )
            sources = idle
            for shard, answer in zip(asked, answers, strict=True):
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

    def _lane(self, shard: Shard) -> GroupCommit[Demand, Share]:
        async def commit(demands: Sequence[Demand]) -> Sequence[Share]:
            with self._outages.watch(shard):
                return await _pull_together(shard, demands)

        return GroupCommit(commit, weigh=lambda demand: demand.most, most_weight=CALL_RESULTS)


async def _pull_together(shard: Shard, demands: Sequence[Demand]) -> list[Share]:
    """One call for all demands that differ in their number alone; first come, first served."""

    def kind(place: int) -> tuple[str, float]:
        return demands[place].order, demands[place].lease_seconds

    shares = [Share((), more=False) for _ in demands]
    failure: ShardUnavailable | None = None
    for (order, lease_seconds), group in groupby(sorted(range(len(demands)), key=kind), key=kind):
        places = list(group)
        most = sum(demands[place].most for place in places)
        try:
            results = await pull(
                shard,
                most,
                order="oldest" if order == "oldest" else "latest",
                lease_seconds=lease_seconds,
                retry_seconds=RETRY_SECONDS,
            )
        except ShardUnavailable as error:
            failure = error
            break
        more = len(results) == most or sum(map(_base64_bytes, results)) >= PULL_BYTES
        start = 0
        for place in places:
            shares[place] = Share(results[start : start + demands[place].most], more)
            start += demands[place].most
    # What was handed out for good must not be thrown away because a later call failed.
    if failure is not None and not any(share.results for share in shares):
        raise failure
    return shares


def _shares(number: int, parts: int) -> list[int]:
    """`number` in `parts` shares as even as can be, the larger ones first."""
    return [(number + parts - 1 - part) // parts for part in range(parts)]


def _base64_bytes(result: Result) -> int:
    return (len(result.value) + 2) // 3 * 4
