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
from jobqueue.lifecycle.pull import MAX_PULL_BYTES, PulledResult, PullOrder, pull
from jobqueue.sharding.shard import Shard

RETRY_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What is wanted of one shard; equal `order` and `lease_seconds` share a script call."""

    max_results: int
    order: PullOrder
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class PullBatch:
    """What one shard gave; `more` where it may have more, which would have been too large together, or too many."""

    results: Sequence[PulledResult]
    has_more: bool


@dataclass(frozen=True, slots=True)
class _Call:
    """A pull as it was sent."""

    token: str
    most: int
    order: PullOrder
    lease_seconds: float


class ShardPuller:
    """Takes results out of one shard's feed.

    Attributes:
        plenty: whether the last call got all that it asked for, so that there may be more.
    """

    def __init__(self, shard: Shard) -> None:
        self.has_more = False
        self._shard = shard
        self._unsettled: _Call | None = None
        self._owed: deque[PulledResult] = deque()

    def put_back(self, share: PullBatch) -> None:
        """Takes results that were taken for good and reached nobody."""
        self._owed.extend(share.results)

    async def pull(self, requests: Sequence[PullRequest]) -> list[PullBatch]:
        """One call for all demands that differ in their number alone; first come, first served.

        Raises:
            ShardUnavailable: the shard gave nothing.
        """
        if self._unsettled is not None:
            self._owed.extend(await self._pull(self._unsettled))

        def kind(place: int) -> tuple[str, float]:
            return requests[place].order, requests[place].lease_seconds

        shares = [PullBatch((), has_more=False) for _ in requests]
        for _, group in groupby(sorted(range(len(requests)), key=kind), key=kind):
            places = list(group)
            try:
                results, more = await self._take([requests[place] for place in places])
            except ShardUnavailable:
                # What was handed out for good must not be thrown away because a later call failed.
                if any(share.results for share in shares):
                    break
                raise
            start = 0
            for place in places:
                shares[place] = PullBatch(results[start : start + requests[place].max_results], more)
                start += requests[place].max_results
        return shares

    async def _take(self, demands: Sequence[PullRequest]) -> tuple[list[PulledResult], bool]:
        order, lease_seconds = demands[0].order, demands[0].lease_seconds
        most = sum(demand.max_results for demand in demands)
        owed: list[PulledResult] = []
        while self._owed and not lease_seconds and len(owed) < most:
            owed.append(self._owed.popleft())
        if len(owed) == most:
            self.has_more = True
            return owed, True
        call = _Call(secrets.token_hex(8), most - len(owed), order, lease_seconds)
        try:
            results = await self._pull(call)
        except ShardUnavailable:
            self.has_more = False
            if not owed:
                raise
            return owed, False
        self.has_more = len(results) == call.most or sum(map(_base64_bytes, results)) >= MAX_PULL_BYTES
        return owed + results, self.has_more

    async def _pull(self, call: _Call) -> list[PulledResult]:
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


def _base64_bytes(result: PulledResult) -> int:
    return (len(result.value) + 2) // 3 * 4
