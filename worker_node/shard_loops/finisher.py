"""Finisher: records outcomes and released jobs on one shard, in batches (River: job completer).

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobqueue.backoff import Backoff
from jobqueue.claimed_job import ClaimedJob
from jobqueue.error_message import first_line
from jobqueue.errors import JobQueueError, UnexpectedContent
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.dependencies import settle
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.finish import Failed, Outcome, Retried, finish, gave_up_text
from jobqueue.model import FailureReason
from jobqueue.sharding.shard import Shard
from worker_node.shard_loops.job_times import JobTimes
from worker_node.shard_loops.note_writer import NoteWriter

if TYPE_CHECKING:
    from worker_node.run_spans import RunSpans

log = logging.getLogger(__name__)

MAX_BATCH = 512
"""Maximum number of outcomes, or of released jobs, in one call."""

MAX_LOGGED_CHARS = 300
"""How much of a failed job's message is logged."""


class Finisher:
    """Records in one call everything that has accumulated since the last one.

    While the shard is unavailable, keeps everything and retries: both calls can be repeated safely, and the backlog
    never exceeds the number of claimed jobs.

    Args:
        notes: what the jobs have told, which is written before their ends.
        spans: of the runs; None if nothing is traced.

    Attributes:
        times: how long the jobs have waited and run whose outcomes were recorded.
    """

    def __init__(self, shard: Shard, worker: str, notes: NoteWriter, spans: "RunSpans | None" = None) -> None:
        self._shard = shard
        self._spans = spans
        self._worker = worker
        self._notes = notes
        self._outcomes: deque[Outcome] = deque()
        self._released: deque[ClaimedJob] = deque()
        self._pending = asyncio.Event()
        self._done = asyncio.Event()
        self._done.set()
        self._max_batch = MAX_BATCH
        self.times = JobTimes(shard)

    @property
    def idle(self) -> bool:
        """Whether everything has been recorded."""
        return self._done.is_set()

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Record the outcomes of jobs, soon."""
        self._outcomes.extend(outcomes)
        self._wake()

    def release(self, jobs: Sequence[ClaimedJob]) -> None:
        """Put jobs back into their queues, soon."""
        self._released.extend(jobs)
        self._wake()

    async def wait_until_idle(self) -> None:
        """Wait until everything has been recorded."""
        await self._done.wait()

    async def run(self) -> None:
        """Record until cancelled."""
        backoff = Backoff("finish", self._shard.prefix)
        while True:
            await self._pending.wait()
            try:
                if self._outcomes:
                    await self._record(backoff.is_failing)
                if self._released:
                    await self._release_pending()
            except Exception as error:  # Edge of the loop: an outcome that Redis rejects must not stop it.
                if isinstance(error, UnexpectedContent) or not isinstance(error, JobQueueError):
                    log.exception("event=outcome_rejected shard=%s", self._shard.prefix)
                    self._drop_rejected()
                await backoff.failed(error)
                continue
            backoff.succeeded()
            if not self._outcomes and not self._released:
                self._pending.clear()
                self._done.set()

    def _wake(self) -> None:
        self._done.clear()
        self._pending.set()

    async def _record(self, repeated: bool) -> None:
        batch = [self._outcomes[n] for n in range(min(self._max_batch, len(self._outcomes)))]
        await self._notes.write_for(outcome.job for outcome in batch)
        report = await finish(self._shard, self._worker, batch)
        for _ in batch:
            self._outcomes.popleft()
        self._max_batch = MAX_BATCH
        self.times.note(batch, report.lost, report.retried)
        for job_id in report.lost:
            # Expected after a failed try: the job may have been recorded by that one, which ends its lease.
            log.log(
                logging.INFO if repeated else logging.WARNING,
                "event=outcome_discarded shard=%s job_id=%s repeated=%s",
                *(self._shard.prefix, job_id, repeated),
            )
        for failed in report.failed:
            _log_failure(failed, None if self._spans is None else self._spans.context_of(failed.job).trace_id)
        if report.parents:
            await self._enqueue_dependents()
        if report.awaited:
            await self._settle()

    async def _release_pending(self) -> None:
        batch = [self._released[n] for n in range(min(MAX_BATCH, len(self._released)))]
        released = await release(self._shard, batch, retry_seconds=0.0)
        for _ in batch:
            self._released.popleft()
        log.debug("event=jobs_released shard=%s jobs=%d", self._shard.prefix, released)

    async def _enqueue_dependents(self) -> None:
        try:
            await enqueue_dependents(self._shard)
        except JobQueueError as error:
            # They stay noted in Redis, and the managers' maintenance enqueues them.
            log.warning("event=dependents_postponed shard=%s error=%r", self._shard.prefix, str(error))

    async def _settle(self) -> None:
        try:
            await settle(self._shard)
        except JobQueueError as error:
            # It is noted in Redis, and the managers' maintenance goes on with it.
            log.warning("event=dependents_postponed shard=%s error=%r", self._shard.prefix, str(error))

    def _drop_rejected(self) -> None:
        """Try single jobs next; drop a single one that Redis rejects, so that it does not block the others."""
        if self._outcomes and self._max_batch == 1:
            outcome = self._outcomes.popleft()
            log.error("event=outcome_dropped shard=%s job_id=%s", self._shard.prefix, outcome.job.id)
        elif not self._outcomes and self._released:
            self._released.popleft()
        self._max_batch = 1


def _log_failure(outcome: Failed | Retried, trace_id: str | None) -> None:
    if isinstance(outcome, Failed):
        reason, message = outcome.reason, first_line(outcome.traceback)
    else:
        reason, message = FailureReason.EXCEPTION, gave_up_text(outcome)
    log.warning(
        "event=job_failed job_id=%s function=%s reason=%s message=%r" + ("" if trace_id is None else " trace_id=%s"),
        *(outcome.job.id, outcome.function or "-", reason, message[:MAX_LOGGED_CHARS]),
        *(() if trace_id is None else (trace_id,)),
    )
