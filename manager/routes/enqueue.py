"""`PUT /enqueue`: SHA-512 of binary data, many times over."""

from jobqueue.functions import BUILT_IN
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.model import DEFAULT_TIMEOUT_SECONDS
from manager.http.asgi import Receive, Scope, header, media_type, read_body, stream_body
from manager.http.multipart import OVERHEAD_BYTES, read_boundary, read_field
from manager.http.problems import TOO_LARGE, WRONG_MEDIA_TYPE, Problem
from manager.http.query_parameters import Integer, Query, Text
from manager.metrics import Metrics
from manager.queue.service import QueueConnection
from manager.queue.submitter import PendingJob
from manager.schemas.job_factory import sha512_job
from manager.schemas.responses import problem_for
from manager.schemas.submission import ID_PATTERN, MAX_ITERATIONS, YEAR_SECONDS

QUERY = Query(
    Integer("iterations", "How many times", 1, MAX_ITERATIONS, required=True),
    Text("id", "The Work ID; makes the request idempotent", ID_PATTERN),
    Integer("timeout", "Seconds it may run", 1, YEAR_SECONDS, default=DEFAULT_TIMEOUT_SECONDS),
)

# Taken out once: in Python 3.11 the look at an enumeration's member is a function call.
_WRITTEN = EnqueueOutcome.WRITTEN


class EnqueueRoute:
    """The handler.

    Args:
        link: the queue.
        max_payload_bytes: of the binary data.
        metrics: counts what is taken in.
    """

    media_type = b"application/json"

    def __init__(self, link: QueueConnection, max_payload_bytes: int, metrics: Metrics) -> None:
        self._link = link
        self._max_payload_bytes = max_payload_bytes
        self._metrics = metrics
        self._path = BUILT_IN["sha512"]

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        query = QUERY.read(scope["query_string"])
        if (header(scope, b"content-type") or b"").lstrip().lower().startswith(b"multipart/"):
            data = await self._read_field(scope, receive)
        else:
            data = await read_body(scope, receive, self._max_payload_bytes)
        intake = self._link.service.submitter
        own_id: str | None = query["id"]
        job = sha512_job(self._path, own_id or intake.new_id(), data, query["iterations"], query["timeout"])
        taken = await intake.submit(PendingJob(job, can_change_shard=own_id is None))
        if taken.answer is _WRITTEN:
            self._metrics.jobs_submitted += 1
        elif (problem := problem_for(taken)) is not None:
            if "id" in problem.members:
                problem.members["Work ID"] = problem.members["id"]
            raise problem
        return b'{"Work ID":"%b"}' % taken.job_id.encode()

    async def _read_field(self, scope: Scope, receive: Receive) -> bytes:
        kind = media_type(scope)
        if kind != "multipart/form-data":
            headers = {"Accept": "application/octet-stream, multipart/form-data"}
            raise Problem(WRONG_MEDIA_TYPE, f"send multipart/form-data, not {kind}", headers=headers)
        boundary = read_boundary(header(scope, b"content-type") or b"")
        pieces = stream_body(scope, receive, self._max_payload_bytes + OVERHEAD_BYTES)
        data = await read_field(boundary, pieces)
        if len(data) > self._max_payload_bytes:
            limit = self._max_payload_bytes
            raise Problem(TOO_LARGE, f"at most {limit} bytes are taken", limit_bytes=limit)
        return data
