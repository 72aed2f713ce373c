"""`POST /jobs/batch`: submit many jobs as NDJSON, answered line by line in the same order.

Hot path: see benchmarks/README.md#http_batch.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

import orjson

from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from manager.http.asgi import Receive, Scope, require_media_type, stream_body
from manager.http.authentication import caller_of
from manager.http.key_limits import take_job
from manager.http.ndjson import LineSplitter
from manager.http.permissions import queue_forbidden
from manager.http.problems import BAD_BODY, TOO_LARGE, Problem, queue_problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.http.request_traces import traced
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.queue.parents import check_parents
from manager.queue.service import QueueService
from manager.queue.submitter import PendingJob
from manager.routes.foreign_jobs import hide_foreign_job
from manager.routes.placement import check_placement, may_move, new_id_for
from manager.schemas.documents import problem_for
from manager.schemas.job_factory import JobFactory

MEDIA_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json")
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_LINES = 100_000
SLICE_LINES = 256
SLICE_BYTES = 1024 * 1024
"""Lines are parsed and submitted in slices of this size; other requests get their turn in between."""
MAX_SLICES_IN_FLIGHT = 4


class BatchRoute:
    """The handler.

    The response begins after the whole body has been read, so that a client that sends everything before it reads does
    not deadlock. If the body exceeds `MAX_LINES` or `MAX_BODY_BYTES` on its way, the last line of the response is that
    error.

    Args:
        job_factory: parses submissions.
        metrics: counts the submitted jobs.
    """

    media_type = b"application/x-ndjson"

    def __init__(self, queue: QueueConnection, job_factory: JobFactory, metrics: Metrics) -> None:
        self._queue = queue
        self._job_factory = job_factory
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        NO_PARAMETERS.parse(scope["query_string"])
        require_media_type(scope, MEDIA_TYPES)
        service = self._queue.service
        batch = _Batch(service, self._job_factory, self._metrics, scope)
        splitter = LineSplitter(self._job_factory.max_body_bytes)
        try:
            async for piece in stream_body(scope, receive, MAX_BODY_BYTES):
                for line in splitter.feed(piece):
                    await batch.add(line)
            for line in splitter.finish():
                await batch.add(line)
            if not batch.lines:
                raise Problem(BAD_BODY, "the body contains no lines")
        except Problem as problem:
            if not batch.lines:
                raise
            await batch.close()
            batch.answers.append(_error_line(problem))
        finally:
            await batch.close()
        return b"".join(batch.answers)


class _Batch:
    """Submits lines slice by slice and collects their answers in order."""

    def __init__(
        self,
        service: QueueService,
        job_factory: JobFactory,
        metrics: Metrics,
        scope: Scope,
    ) -> None:
        self._scope = scope
        self._caller = caller_of(scope)
        self._submitter, self._monitor, self._shards = service.submitter, service.monitor, service.shards
        self._job_factory = job_factory
        self._metrics = metrics
        self._slice: list[bytes | None] = []
        self._slice_bytes = 0
        self._in_flight: deque[asyncio.Task[bytes]] = deque()
        self.lines = 0
        self.answers: list[bytes] = []

    async def add(self, line: bytes | None) -> None:
        """Add a line; None stands for one that was too long.

        Raises:
            Problem: 413, too many lines.
        """
        if self.lines == MAX_LINES:
            raise Problem(TOO_LARGE, f"a batch has at most {MAX_LINES} lines: this line and all after it were ignored")
        self.lines += 1
        self._slice.append(line)
        self._slice_bytes += len(line or b"")
        if len(self._slice) >= SLICE_LINES or self._slice_bytes >= SLICE_BYTES:
            self._submit_slice()
            while len(self._in_flight) > MAX_SLICES_IN_FLIGHT:
                self.answers.append(await self._in_flight.popleft())
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Submit the last slice and wait for all answers."""
        if self._slice:
            self._submit_slice()
        while self._in_flight:
            self.answers.append(await self._in_flight.popleft())

    def _submit_slice(self) -> None:
        pending: list[PendingJob | Problem] = [self._pending_job(line) for line in self._slice]
        self._slice = []
        self._slice_bytes = 0
        self._in_flight.append(asyncio.create_task(self._submit(pending)))

    def _pending_job(self, line: bytes | None) -> PendingJob | Problem:
        if line is None:
            limit = self._job_factory.max_body_bytes
            return Problem(TOO_LARGE, f"a line must not exceed {limit} bytes", limit_bytes=limit)
        try:
            submission = self._job_factory.parse(line)
            if not self._caller.sees(submission.queue):
                return queue_forbidden(self._caller, submission.queue)
            job_id, limiter = submission.id or new_id_for(submission, self._submitter), self._caller.limiter
            job = self._job_factory.create_job(submission, job_id, limiter)
            check_placement(self._shards, job)
            if limiter is not None:
                take_job(self._caller, limiter, job.queue, self._monitor.has_room)
        except Problem as problem:
            return problem
        return PendingJob(traced(self._scope, job), can_change_shard=may_move(submission))

    async def _submit(self, pending: Sequence[PendingJob | Problem]) -> bytes:
        pending = await self._refuse_orphans(pending)
        valid = [each for each in pending if isinstance(each, PendingJob)]
        results = iter(await self._submitter.submit_all(valid))
        formats = {queue: await self._line_format(queue) for queue in {each.job.queue for each in valid}}
        lines = []
        written = 0
        limiter = self._caller.limiter
        for each in pending:
            if isinstance(each, Problem):
                lines.append(_error_line(each))
                continue
            result = next(results)
            if limiter is not None and result.answer is not EnqueueOutcome.WRITTEN:
                limiter.give_back_job()
            problem = problem_for(result)
            if problem is not None:
                lines.append(_error_line(await hide_foreign_job(problem, self._caller, self._shards)))
                continue
            written += result.answer is EnqueueOutcome.WRITTEN
            lines.append(formats[each.job.queue] % result.job_id.encode())
        self._metrics.jobs_submitted += written
        return b"".join(lines)

    async def _refuse_orphans(self, pending: Sequence[PendingJob | Problem]) -> Sequence[PendingJob | Problem]:
        children = [each.job for each in pending if isinstance(each, PendingJob) and each.job.depends_on is not None]
        if not children:
            return pending
        problems: Mapping[str, Problem] = {}
        try:
            problems = await check_parents(self._shards, children, self._caller)
        except JobQueueError as error:
            problems = {job.id: queue_problem(error) for job in children}
        if problems and self._caller.limiter is not None:
            for _ in problems:
                self._caller.limiter.give_back_job()
        return [problems.get(each.job.id, each) if isinstance(each, PendingJob) else each for each in pending]

    async def _line_format(self, queue: str) -> bytes:
        """Return the answer to an accepted job of that queue, with `%b` in place of its id."""
        warning = await self._monitor.warning(queue)
        if warning is None:
            return b'{"id":"%b"}\n'
        return b'{"id":"%b","warning":' + orjson.dumps(warning).replace(b"%", b"%%") + b"}\n"


def _error_line(problem: Problem) -> bytes:
    return orjson.dumps({"error": problem.document()}, option=orjson.OPT_APPEND_NEWLINE)
