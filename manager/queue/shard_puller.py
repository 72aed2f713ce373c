"""One shard as a source of results, which loses none that it has taken: each is handed to somebody.

What was taken out of the feed for good is nobody else's any more. So a pull whose outcome is unknown is repeated under
its token before anything else, and what comes of it, or comes too late for who asked, goes to those who ask next.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.pull import PULL_BYTES, Order, Result, pull
from jobqueue.sharding.shards import Shard

RETRY_SECONDS = 0.3


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


@dataclass(frozen=True, slots=True)
class _Call:
    """A pull as it was sent."""

    token: str
    most: int
    order: Order
    lease_seconds: float


class PullSource:
    """Takes results out of one shard's feed.

    Attributes:
        plenty: whether the last call got all that it asked for, so that there may be more.
    """

    def __init__(self, shard: Shard) -> None:
        self.plenty = False
        self._shard = shard
        self._unsettled: _Call | None = None
        self._owed: deque[Result] = deque()

    def give_back(self, share: Share) -> None:
        """Takes results that were taken for good and reached nobody."""
        self._owed.extend(share.results)

    async def give(self, demands: Sequence[Demand]) -> list[Share]:
        """One call for all demands that differ in their number alone; first come, first served.

        Raises:
            ShardUnavailable: the shard gave nothing.
        """
        if self._unsettled is not None:
            self._owed.extend(await self._pull(self._unsettled))

        def kind(place: int) -> tuple[str, float]:
            return demands[place].order, demands[place].lease_seconds

        shares = [Share((), more=False) for _ in demands]
        for _, group in groupby(sorted(range(len(demands)), key=kind), key=kind):
            places = list(group)
            try:
                results, more = await self._take([demands[place] for place in places])
            except ShardUnavailable:
                # What was handed out for good must not be thrown away because a later call failed.
                if any(share.results for share in shares):
                    break
                raise
            start = 0
            for place in places:
                shares[place] = Share(results[start : start + demands[place].most], more)
                start += demands[place].most
        return shares

    async def _take(self, demands: Sequence[Demand]) -> tuple[list[Result], bool]:
        order, lease_seconds = demands[0].order, demands[0].lease_seconds
        most = sum(demand.most for demand in demands)
        owed: list[Result] = []
        while self._owed and not lease_seconds and len(owed) < most:
            owed.append(self._owed.popleft())
        if len(owed) == most:
            self.plenty = True
            return owed, True
        call = _Call(secrets.token_hex(8), most - len(owed), order, lease_seconds)
        try:
            results = await self._pull(call)
        except ShardUnavailable:
            self.plenty = False
            if not owed:
                raise
            return owed, False
        self.plenty = len(results) == call.most or sum(map(_base64_bytes, results)) >= PULL_BYTES
        return owed + results, self.plenty

    async def _pull(self, call: _Call) -> list[Result]:
        try:
            results = await pull(
                self._shard,
                call.most,
                order=call.order,
                lease_seconds=call.lease_seconds,
                token=call.token,
                retry_seconds=RETRY_SECONDS,
            )
        except ShardUnavailable as error:
            # Results on a lease come back by themselves.
            if error.outcome_unknown and not call.lease_seconds:
                self._unsettled = call
            raise
        if self._unsettled == call:
            self._unsettled = None
        return results


def _base64_bytes(result: Result) -> int:
    return (len(result.value) + 2) // 3 * 4
