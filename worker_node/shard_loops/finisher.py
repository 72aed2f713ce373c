"""Tells a shard what became of its jobs: how they ended, or that they were not begun."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from redis.exceptions import RedisError

from jobqueue.backoff import Backoff
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.model import ClaimedJob
from jobqueue.sharding.shard import Shard

log = logging.getLogger(__name__)

MAX_BATCH = 512


class Finisher:
    """Records everything that has come together since the last trip to the shard, in one trip.

    What the shard cannot take now is kept and tried again: both verbs may be repeated, and there is never more of it
    than was claimed.

    Args:
        redis_url: for RQ's own code, which queues a stock job's dependents.
    """

    def __init__(self, shard: Shard, worker: str, redis_url: str) -> None:
        self._shard = shard
        self._worker = worker
        self._redis_url = redis_url
        self._outcomes: deque[Outcome] = deque()
        self._returned: deque[ClaimedJob] = deque()
        self._wanted = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._max_batch = MAX_BATCH

    @property
    def idle(self) -> bool:
        """Whether everything is recorded."""
        return self._done.is_set()

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Takes jobs that ended."""
        self._outcomes.extend(outcomes)
        self._work()

    def release(self, jobs: Sequence[ClaimedJob]) -> None:
        """Takes jobs that are to run elsewhere."""
        self._returned.extend(jobs)
        self._work()

    async def wait_until_idle(self) -> None:
        """Waits until everything is recorded."""
        await self._done.wait()

    async def run(self) -> None:
        """Records until it is cancelled."""
        patience = Backoff("finish", self._shard.prefix)
        while True:
            await self._wanted.wait()
            try:
                if self._outcomes:
                    await self._record(patience.is_failing)
                if self._returned:
                    await self._release()
            except JobQueueError as error:
                await patience.failed(error)
                continue
            except Exception as error:  # The loop's edge: a record that Redis refuses must not stop it.
                log.exception("event=outcome_rejected shard=%s", self._shard.prefix)
                self._drop_refused()
                await patience.failed(error)
                continue
            patience.succeeded()
            if not self._outcomes and not self._returned:
                self._wanted.clear()
                self._done.set()

    def _work(self) -> None:
        self._done.clear()
        self._wanted.set()

    async def _record(self, repeated: bool) -> None:
        batch = [self._outcomes[n] for n in range(min(self._max_batch, len(self._outcomes)))]
        report = await finish(self._shard, self._worker, batch)
        for _ in batch:
            self._outcomes.popleft()
        self._max_batch = MAX_BATCH
        for job_id in report.lost:
            # After a failed try this is how a job looks that was recorded then.
            log.log(
                logging.INFO if repeated else logging.WARNING,
                "event=outcome_discarded shard=%s job_id=%s repeated=%s",
                *(self._shard.prefix, job_id, repeated),
            )
        if report.dependents:
            await self._enqueue_dependents()

    async def _release(self) -> None:
        batch = [self._returned[n] for n in range(min(MAX_BATCH, len(self._returned)))]
        released = await release(self._shard, batch, retry_seconds=0.0)
        for _ in batch:
            self._returned.popleft()
        log.debug("event=jobs_released shard=%s jobs=%d", self._shard.prefix, released)

    async def _enqueue_dependents(self) -> None:
        try:
            await enqueue_dependents(self._shard, self._redis_url)
        except (JobQueueError, RedisError) as error:
            # They stay noted in Redis, and the managers' maintenance looks after them.
            log.warning("event=dependents_postponed shard=%s error=%r", self._shard.prefix, str(error))

    def _drop_refused(self) -> None:
        """Narrows the next tries down to single jobs; a single one that is refused is dropped."""
        if self._outcomes and self._max_batch == 1:
            outcome = self._outcomes.popleft()
            log.error("event=outcome_dropped shard=%s job_id=%s", self._shard.prefix, outcome.job.id)
        elif not self._outcomes and self._returned:
            self._returned.popleft()
        self._max_batch = 1
