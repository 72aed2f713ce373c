"""Pull completed results from all shards, for the clients of `POST /pullCompleted`."""

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
"""A shard that has more results is asked for up to this many before another shard is asked at the same time. Such a
call takes 10 to 20 ms."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""An answer of this size is complete; the remaining results wait for the next pull."""
MAX_SHARD_WAIT_SECONDS = 0.5
"""How long a pull waits for slow shards. Then it answers with what it has or, if it has nothing, asks other shards."""

_Call = asyncio.Task[PullBatch]
_Calls = dict[_Call, tuple[Shard, PullRequest]]


class ResultPuller:
    """Hands out results of all shards.

    Args:
        shards: the queue.
        breaker: tells which shards are unavailable.
    """

    def __init__(self, shards: Shards, breaker: ShardBreaker) -> None:
        self._shards = shards
        self._breaker = breaker
        self._pullers = [ShardPuller(shard) for shard in shards]
        self._commits = [self._group_commit(shard) for shard in shards]
        self._asked_in_slice = [-1] * len(shards)

    async def pull(self, top: int, order: PullOrder, lease_seconds: float) -> list[PulledResult]:
        """Return up to `top` results; unavailable shards are left out.

        While some shards are known to have more results, they are asked for large parts. Otherwise all shards are asked
        for equal parts.

        Raises:
            ShardUnavailable: no shard answered.
        """
        candidates = self._breaker.available(self._shards.in_rotation()) or self._shards.in_rotation()
        calls: _Calls = {}
        collected = _Collected(top)
        try:
            while collected.accepts_more and (candidates or (calls and collected.is_empty)):
                if candidates:
                    chosen = self._choose(candidates, collected.missing)
                    candidates = [shard for shard in candidates if shard not in chosen]
                    parts = _equal_parts(collected.missing, len(chosen))
                    started = self._start(chosen, [PullRequest(part, order, lease_seconds) for part in parts])
                    calls |= started
                    await asyncio.wait(started, timeout=MAX_SHARD_WAIT_SECONDS)
                else:
                    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                candidates += collected.add_finished(calls)
        except BaseException:
            for shard, batch in collected.batches:
                self._put_back(shard, batch, lease_seconds)
            raise
        finally:
            for call, (shard, _) in calls.items():
                call.add_done_callback(partial(self._put_back_late, shard, lease_seconds))
        return collected.results()

    def put_back(self, results: Sequence[PulledResult]) -> None:
        """Keep results that were pulled without a lease and reached no client, for the next pulls."""
        for result in results:
            self._pullers[self._shards.of(result.job_id).index].put_back([result])

    def _choose(self, candidates: Sequence[Shard], wanted: int) -> Sequence[Shard]:
        """Return which of `candidates`, which are in rotation order, to ask at the same time."""
        if any(self._pullers[shard.index].has_more for shard in candidates):
            time_slice = self._shards.rotation.slice_number
            # Each shard is asked once per time slice, so that new results on an empty shard are noticed.
            likely = [
                shard
                for shard in candidates
                if self._pullers[shard.index].has_more or self._asked_in_slice[shard.index] != time_slice
            ]
            return likely[: math.ceil(wanted / LARGE_REQUEST_RESULTS)]
        return candidates[:wanted]

    def _start(self, shards: Sequence[Shard], requests: Sequence[PullRequest]) -> _Calls:
        time_slice = self._shards.rotation.slice_number
        for shard in shards:
            self._asked_in_slice[shard.index] = time_slice
        return {
            asyncio.create_task(self._commits[shard.index].submit(request)): (shard, request)
            for shard, request in zip(shards, requests, strict=True)
        }

    def _put_back_late(self, shard: Shard, lease_seconds: float, call: _Call) -> None:
        if not call.cancelled() and call.exception() is None:
            self._put_back(shard, call.result(), lease_seconds)

    def _put_back(self, shard: Shard, batch: PullBatch, lease_seconds: float) -> None:
        # Leased results return to the feed when the lease expires.
        if not lease_seconds:
            self._pullers[shard.index].put_back(batch.results)

    def _group_commit(self, shard: Shard) -> GroupCommit[PullRequest, PullBatch]:
        async def commit(requests: Sequence[PullRequest]) -> Sequence[PullBatch]:
            with self._breaker.guard(shard):
                return await self._pullers[shard.index].pull(requests)

        return GroupCommit(commit, weigh=lambda request: request.max_results, max_weight=MAX_CALL_RESULTS)


class _Collected:
    """The batches of one pull so far.

    Attributes:
        batches: with the shards they are from.
        missing: how many results are still wanted.
    """

    __slots__ = ("_bytes", "_failure", "_top", "batches", "missing")

    def __init__(self, top: int) -> None:
        self.batches: list[tuple[Shard, PullBatch]] = []
        self.missing = self._top = top
        self._bytes = 0
        self._failure: JobQueueError | None = None

    @property
    def accepts_more(self) -> bool:
        return self.missing > 0 and self._bytes < MAX_ANSWER_BYTES

    @property
    def is_empty(self) -> bool:
        return self.missing == self._top

    def add_finished(self, calls: _Calls) -> list[Shard]:
        """Move the batches of finished calls here and return the shards that have more results."""
        have_more = []
        for call in [call for call in calls if call.done()]:
            shard, request = calls[call]
            # A late call can bring more than is still wanted: it stays in `calls`, whose results are put back.
            if request.max_results > self.missing:
                continue
            del calls[call]
            try:
                batch = call.result()
            except JobQueueError as error:
                self._failure = error
                continue
            self.batches.append((shard, batch))
            self.missing -= len(batch.results)
            self._bytes += sum(len(result.value) for result in batch.results)
            if batch.has_more:
                have_more.append(shard)
        return have_more

    def results(self) -> list[PulledResult]:
        """Return all results.

        Raises:
            JobQueueError: no call succeeded and at least one failed.
        """
        if self._failure is not None and not self.batches:
            raise self._failure
        return [result for _, batch in self.batches for result in batch.results]


def _equal_parts(number: int, parts: int) -> list[int]:
    """Split `number` into `parts` parts that differ by at most 1, the larger ones first."""
    return [(number + parts - 1 - part) // parts for part in range(parts)]
