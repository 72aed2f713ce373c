"""`PUT /enqueue`: enqueue a job that computes SHA-512 of binary data repeatedly.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import orjson

from jobqueue.functions import BUILT_IN
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.model import DEFAULT_QUEUE, DEFAULT_TIMEOUT_SECONDS, MAX_ITERATIONS
from manager.callbacks.target import URL_PATTERN
from manager.http.asgi import Receive, Scope, header, media_type, payload_too_large, read_body, stream_body
from manager.http.authentication import caller_of
from manager.http.key_limits import take_job
from manager.http.multipart import OVERHEAD_BYTES, read_boundary, read_field
from manager.http.problems import WRONG_MEDIA_TYPE, Problem
from manager.http.query_parameters import Integer, Query, Text
from manager.http.request_origin import JOB_ID
from manager.http.request_traces import SUBMISSION, traced
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.queue.submitter import PendingJob
from manager.schemas.callback_check import CallbackCheck
from manager.schemas.documents import problem_for
from manager.schemas.job_factory import sha512_job
from manager.schemas.json_types import YEAR_SECONDS
from manager.schemas.submission import ID_PATTERN

QUERY = Query(
    Integer("iterations", "Number of iterations", 1, MAX_ITERATIONS, required=True),
    Text("id", "The Work ID; makes the request idempotent", ID_PATTERN),
    Integer("timeout", "Maximum run time in seconds", 1, YEAR_SECONDS, default=DEFAULT_TIMEOUT_SECONDS),
    Text("callback_url", "Told when the job has ended", URL_PATTERN),
)

# Bound once, because in Python 3.11 the lookup of an enumeration's member is a function call.
_WRITTEN = EnqueueOutcome.WRITTEN


class EnqueueRoute:
    """The handler.

    Args:
        max_payload_bytes: limit of the binary data.
        metrics: counts the submitted jobs.
        callbacks: checks the URL that a job names.
    """

    media_type = b"application/json"

    def __init__(
        self, queue: QueueConnection, max_payload_bytes: int, metrics: Metrics, callbacks: CallbackCheck
    ) -> None:
        self._queue = queue
        self._callbacks = callbacks
        self._max_payload_bytes = max_payload_bytes
        self._metrics = metrics
        self._path = BUILT_IN["sha512"]

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        query = QUERY.parse(scope["query_string"])
        callback_url: str | None = query["callback_url"]
        callback = None if callback_url is None else self._callbacks.check("callback_url", callback_url)
        caller = caller_of(scope)
        limiter, max_bytes = caller.limiter, self._max_payload_bytes
        if limiter is not None:
            max_bytes = limiter.payload_bytes(max_bytes)
        if (header(scope, b"content-type") or b"").lstrip().lower().startswith(b"multipart/"):
            data = await self._read_field(scope, receive, max_bytes)
        else:
            data = await read_body(scope, receive, max_bytes)
        submitter, monitor = self._queue.service.submitter, self._queue.service.monitor
        if limiter is not None:
            take_job(caller, limiter, DEFAULT_QUEUE, monitor.has_room)
        own_id: str | None = query["id"]
        job_id = own_id or submitter.new_id()
        job = sha512_job(self._path, job_id, data, query["iterations"], query["timeout"], callback)
        if SUBMISSION in scope:
            job = traced(scope, job)
        result = await submitter.submit(PendingJob(job, can_change_shard=own_id is None))
        scope[JOB_ID] = result.job_id
        if result.answer is _WRITTEN:
            self._metrics.jobs_submitted += 1
        else:
            if limiter is not None:
                limiter.give_back_job()
            if (problem := problem_for(result)) is not None:
                if "id" in problem.members:
                    problem.members["Work ID"] = problem.members["id"]
                raise problem
        if (warning := monitor.known_warning(DEFAULT_QUEUE)) is not None:
            return orjson.dumps({"Work ID": result.job_id, "warning": warning})
        return b'{"Work ID":"%b"}' % result.job_id.encode()

    async def _read_field(self, scope: Scope, receive: Receive, max_bytes: int) -> bytes:
        given = media_type(scope)
        if given != "multipart/form-data":
            headers = {"Accept": "application/octet-stream, multipart/form-data"}
            raise Problem(WRONG_MEDIA_TYPE, f"send multipart/form-data, not {given}", headers=headers)
        boundary = read_boundary(header(scope, b"content-type") or b"")
        pieces = stream_body(scope, receive, max_bytes + OVERHEAD_BYTES)
        data = await read_field(boundary, pieces)
        if len(data) > max_bytes:
            raise payload_too_large(max_bytes)
        return data
