"""Pull results from one shard without losing any that were removed from its feed.

A result that is pulled without a lease is gone from the feed, so this manager must deliver it. If the outcome of a pull
is unknown, the pull is repeated with the same token before any other. Its results, and results that arrive too late for
their request, go to the next requests.
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
"""Covers a connection that Redis has closed; longer outages are left to the caller."""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Results wanted from one shard. Requests with equal `order` and `lease_seconds` share a script call."""

    max_results: int
    order: PullOrder
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class PullBatch:
    """Results from one shard. With `has_more` the shard may have more, beyond a limit on their number or size."""

    results: Sequence[PulledResult]
    has_more: bool


@dataclass(frozen=True, slots=True)
class _Call:
    """A pull as it was sent to Redis."""

    token: str
    max_results: int
    order: PullOrder
    lease_seconds: float


class ShardPuller:
    """Pulls results from one shard's feed.

    Attributes:
        has_more: whether the last call got all that it asked for, so that the shard may have more.
    """

    def __init__(self, shard: Shard) -> None:
        self.has_more = False
        self._shard = shard
        self._unresolved: _Call | None = None
        self._undelivered: deque[PulledResult] = deque()

    def put_back(self, results: Sequence[PulledResult]) -> None:
        """Keep results that were pulled without a lease and reached no client, for the next requests."""
        self._undelivered.extend(results)

    async def pull(self, requests: Sequence[PullRequest]) -> list[PullBatch]:
        """Return a batch for each request, with one call for all that differ only in their number; first come first.

        Raises:
            ShardUnavailable: the shard returned nothing.
        """
        if self._unresolved is not None:
            self._undelivered.extend(await self._call(self._unresolved))

        def kind(index: int) -> tuple[str, float]:
            return requests[index].order, requests[index].lease_seconds

        batches = [PullBatch((), has_more=False) for _ in requests]
        for _, group in groupby(sorted(range(len(requests)), key=kind), key=kind):
            indexes = list(group)
            try:
                results, has_more = await self._pull_alike([requests[index] for index in indexes])
            except ShardUnavailable:
                # Results that an earlier group has pulled must be delivered although this group failed.
                if any(batch.results for batch in batches):
                    break
                raise
            start = 0
            for index in indexes:
                batches[index] = PullBatch(results[start : start + requests[index].max_results], has_more)
                start += requests[index].max_results
        return batches

    async def _pull_alike(self, requests: Sequence[PullRequest]) -> tuple[list[PulledResult], bool]:
        """Return the results of requests with equal `order` and `lease_seconds`, and whether there may be more."""
        order, lease_seconds = requests[0].order, requests[0].lease_seconds
        max_results = sum(request.max_results for request in requests)
        kept: list[PulledResult] = []
        while self._undelivered and not lease_seconds and len(kept) < max_results:
            kept.append(self._undelivered.popleft())
        if len(kept) == max_results:
            self.has_more = True
            return kept, True
        call = _Call(secrets.token_hex(8), max_results - len(kept), order, lease_seconds)
        try:
            results = await self._call(call)
        except ShardUnavailable:
            self.has_more = False
            if not kept:
                raise
            return kept, False
        self.has_more = len(results) == call.max_results or sum(map(_base64_bytes, results)) >= MAX_PULL_BYTES
        return kept + results, self.has_more

    async def _call(self, call: _Call) -> list[PulledResult]:
        try:
            results = await pull(
                self._shard,
                call.max_results,
                order=call.order,
                lease_seconds=call.lease_seconds,
                token=call.token,
                retry_seconds=RETRY_SECONDS,
            )
        except ShardUnavailable as error:
            # Leased results return to the feed when the lease expires.
            if error.outcome_unknown and not call.lease_seconds:
                self._unresolved = call
            raise
        if self._unresolved == call:
            self._unresolved = None
        return results


def _base64_bytes(result: PulledResult) -> int:
    return (len(result.value) + 2) // 3 * 4
