"""Counts how long the jobs of one shard have waited and run, and adds that to the histograms in Redis now and then.

Hot path: so each job costs a place in a list, and only some of a batch are looked at.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import Outcome
from jobqueue.lifecycle.times import HISTOGRAMS, Pair, Times, add_times
from jobqueue.sharding.shard import Shard

SAMPLE = 4
"""Of more jobs of a queue and function that end together, so many stand for all. Only jobs of well under a millisecond
end in such numbers."""
MAX_PAIRS_KEPT = 1000
"""While the shard is away: those of further pairs are not counted."""
MAX_PAIRS_SENT = 200
"""In one call, which takes Redis a few milliseconds."""
_WAITING, _SERVICE, _END_TO_END = range(len(HISTOGRAMS))


class JobTimes:
    """The times of jobs that this worker has ended since the last `send`."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._times: dict[Pair, Times] = {}

    def note(self, outcomes: Sequence[Outcome], lost: Collection[str], retried: Collection[str]) -> None:
        """Count outcomes that have just been recorded.

        Args:
            lost: ids of those that were not, because the job runs elsewhere.
            retried: ids of jobs that run again.
        """
        groups: defaultdict[Pair, list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            groups[outcome.job.queue, outcome.function].append(outcome)
        now = time.time()
        for pair, group in groups.items():
            if lost:
                group = [outcome for outcome in group if outcome.job.id not in lost]
            if pair in self._times or len(self._times) < MAX_PAIRS_KEPT:
                self._count(self._times.setdefault(pair, Times()), group, retried, now)

    async def send(self) -> None:
        """Add what was counted to the histograms.

        Raises:
            ShardUnavailable: it is tried again with the next call; if only the answer was lost, it counts twice.
        """
        while self._times:
            pairs = list(self._times)[:MAX_PAIRS_SENT]
            sent = {pair: self._times.pop(pair) for pair in pairs}
            try:
                await add_times(self._shard, sent)
            except BaseException:
                for pair, times in sent.items():
                    self._times[pair] = times + self._times[pair] if pair in self._times else times
                raise

    def _count(self, times: Times, group: Sequence[Outcome], retried: Collection[str], now: float) -> None:
        stride = -(-len(group) // SAMPLE)
        for start in range(0, len(group), stride or 1):
            outcome = group[start]
            job, jobs = outcome.job, min(stride, len(group) - start)
            times.observe(_SERVICE, outcome.seconds, jobs, job.id, now)
            enqueued_at, begun_at = _instants(job)
            if enqueued_at is not None:
                times.observe(_WAITING, max(0.0, now - enqueued_at - outcome.seconds), jobs, job.id, now)
            if begun_at is not None and job.id not in retried:
                times.observe(_END_TO_END, max(0.0, now - begun_at), jobs, job.id, now)


def _instants(job: ClaimedJob) -> tuple[float | None, float | None]:
    """Return when a job was enqueued last, and when it was first to run."""
    enqueued_at, _, created_at = job.since.partition(b" ")
    last = _instant(enqueued_at)
    return last, _instant(created_at) if created_at else last


def _instant(text: bytes) -> float | None:
    try:
        return datetime.fromisoformat(text.decode()).timestamp()
    except (ValueError, OverflowError):
        return None
