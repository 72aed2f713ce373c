"""`POST /jobs/batch`: many jobs, a line of JSON each, answered line by line in their order."""

import asyncio
from collections import deque
from collections.abc import Sequence

import orjson

from jobqueue.lifecycle.enqueue import EnqueueOutcome
from manager.http.asgi import Receive, Scope, require_media_type, stream_body
from manager.http.ndjson import LineSplitter
from manager.http.problems import BAD_BODY, TOO_LARGE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.metrics import Metrics
from manager.queue.service import QueueConnection
from manager.queue.submitter import PendingJob, Submitter
from manager.schemas.job_factory import JobFactory
from manager.schemas.responses import problem_for

MEDIA_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/json")
MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_LINES = 100_000
SLICE_LINES = 256
SLICE_BYTES = 1024 * 1024
"""So many lines are read and sent to the queue together; other requests have their turn in between."""
MAX_SLICES_IN_FLIGHT = 4


class BatchRoute:
    """The handler.

    The answer begins when the whole body is there: a client that sends all before it reads must not block both. A line
    beyond `MAX_LINES`, or a body that turns out too large on its way, is answered with an error, the last line.

    Args:
        link: the queue.
        reader: of submissions.
        metrics: counts what is taken in.
    """

    media_type = b"application/x-ndjson"

    def __init__(self, link: QueueConnection, reader: JobFactory, metrics: Metrics) -> None:
        self._link = link
        self._reader = reader
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        NO_PARAMETERS.read(scope["query_string"])
        require_media_type(scope, MEDIA_TYPES)
        batch = _Batch(self._link.service.submitter, self._reader, self._metrics)
        splitter = LineSplitter(self._reader.max_body_bytes)
        try:
            async for piece in stream_body(scope, receive, MAX_BODY_BYTES):
                for line in splitter.feed(piece):
                    await batch.add(line)
            for line in splitter.finish():
                await batch.add(line)
            if not batch.lines:
                raise Problem(BAD_BODY, "the body holds no line")
        except Problem as problem:
            if not batch.lines:
                raise
            await batch.close()
            batch.answers.append(_error_line(problem))
        finally:
            await batch.close()
        return b"".join(batch.answers)


class _Batch:
    """Lines on their way into the queue, a slice at a time, and their answers in order."""

    def __init__(self, intake: Submitter, reader: JobFactory, metrics: Metrics) -> None:
        self._intake = intake
        self._reader = reader
        self._metrics = metrics
        self._slice: list[bytes | None] = []
        self._slice_bytes = 0
        self._under_way: deque[asyncio.Task[bytes]] = deque()
        self.lines = 0
        self.answers: list[bytes] = []

    async def add(self, line: bytes | None) -> None:
        """Takes a line; None stands for one that was too long.

        Raises:
            Problem: 413, there have been too many.
        """
        if self.lines == MAX_LINES:
            raise Problem(TOO_LARGE, f"at most {MAX_LINES} lines are taken; this one and all after it were not read")
        self.lines += 1
        self._slice.append(line)
        self._slice_bytes += len(line or b"")
        if len(self._slice) >= SLICE_LINES or self._slice_bytes >= SLICE_BYTES:
            self._send_slice()
            while len(self._under_way) > MAX_SLICES_IN_FLIGHT:
                self.answers.append(await self._under_way.popleft())
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Sends what is left, and waits for all answers."""
        if self._slice:
            self._send_slice()
        while self._under_way:
            self.answers.append(await self._under_way.popleft())

    def _send_slice(self) -> None:
        arrivals: list[PendingJob | Problem] = [self._arrival(line) for line in self._slice]
        self._slice = []
        self._slice_bytes = 0
        self._under_way.append(asyncio.create_task(self._take(arrivals)))

    def _arrival(self, line: bytes | None) -> PendingJob | Problem:
        if line is None:
            limit = self._reader.max_body_bytes
            return Problem(TOO_LARGE, f"a line has at most {limit} bytes", limit_bytes=limit)
        try:
            submission = self._reader.parse(line)
            unique_key = None if submission.unique is None else submission.unique.key
            job = self._reader.create_job(submission, submission.id or self._intake.new_id(unique_key))
        except Problem as problem:
            return problem
        return PendingJob(job, can_change_shard=submission.id is None and unique_key is None)

    async def _take(self, arrivals: Sequence[PendingJob | Problem]) -> bytes:
        good = [arrival for arrival in arrivals if isinstance(arrival, PendingJob)]
        answers = iter(await self._intake.submit_all(good))
        lines = []
        written = 0
        for arrival in arrivals:
            if isinstance(arrival, Problem):
                lines.append(_error_line(arrival))
                continue
            taken = next(answers)
            problem = problem_for(taken)
            if problem is not None:
                lines.append(_error_line(problem))
                continue
            written += taken.answer is EnqueueOutcome.WRITTEN
            lines.append(b'{"id":"%b"}\n' % taken.job_id.encode())
        self._metrics.jobs_submitted += written
        return b"".join(lines)


def _error_line(problem: Problem) -> bytes:
    return orjson.dumps({"error": problem.document()}, option=orjson.OPT_APPEND_NEWLINE)
