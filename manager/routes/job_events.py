"""`/jobs/{id}/events`: a job's life as it happens, as server-sent events."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from jobqueue.errors import ShardUnavailable
from jobqueue.inspection.job_states import read_progress, read_queues
from jobqueue.lifecycle.notes import read_log
from jobqueue.model import is_over
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from manager.api_keys.table import KeyTable
from manager.http.asgi import HEAD, Scope
from manager.http.authentication import caller_of, check_again
from manager.http.problems import NO_SUCH_JOB, TOO_MANY_STREAMS, Problem
from manager.http.query_parameters import Number, Query
from manager.http.server_sent_events import HEADERS, MAX_STREAM_SECONDS, MEDIA_TYPE, PING_SECONDS, event
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.schemas.documents import log_line_document
from manager.schemas.openapi import JOB_ID, problem_responses
from manager.schemas.submission import ID_PATTERN

POLL_SECONDS = 0.5
"""How often a stream looks; workers write no more often."""
MAX_STREAMS = 500
"""At one manager: each asks Redis twice a second."""
LINES_PER_READ = 500

QUERY = Query(
    Number("wait", "Seconds after which the stream ends, to be opened again", 0, MAX_STREAM_SECONDS, default=900)
)
_DESCRIPTION = "Events `status`, `progress`, `log` and `end`, each with JSON as its data"
_JOB_ID = re.compile(ID_PATTERN)
_LINE_ID = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")


class JobEventRoutes:
    """Handler of the route.

    Args:
        key_table: the keys that this manager knows: one can end while a stream is open.
    """

    def __init__(self, queue: QueueConnection, key_table: KeyTable, metrics: Metrics) -> None:
        self._queue = queue
        self._key_table = key_table
        self._metrics = metrics

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["jobs"])
        router.add_api_route(
            "/jobs/{job_id}/events",
            self.show,
            methods=["GET"],
            response_class=Response,
            responses={
                200: {
                    "description": "Events `status`, `progress`, `log` and `end`",
                    "content": {MEDIA_TYPE: {}},
                },
                **problem_responses(400, 404, 503),
            },
            openapi_extra={"parameters": [JOB_ID, *QUERY.openapi()]},
        )
        return router

    async def show(self, request: Request) -> Response:
        """Send the state of a job at once, and then what changes, until it has ended.

        The id of a `log` event is that of the line. Sent back as `Last-Event-ID`, to any manager, the lines after it
        follow.
        """
        seconds = QUERY.parse(request.scope["query_string"])["wait"]
        job_id, caller = str(request.path_params["job_id"]), caller_of(request.scope)
        shard = await find_shard(self._queue.service.shards, job_id) if _JOB_ID.fullmatch(job_id) else None
        (queue,) = (None,) if shard is None else await read_queues(shard, [job_id])
        if shard is None or queue is None or not caller.sees(queue):
            raise Problem(NO_SUCH_JOB, f"there is no job with the id {job_id[:80]!r}")
        if HEAD in request.scope:
            return Response(headers=HEADERS, media_type=MEDIA_TYPE)
        if self._metrics.streams >= MAX_STREAMS:
            detail = f"this manager has {MAX_STREAMS} open streams: use another manager, or GET /jobs/{{id}}?wait="
            raise Problem(TOO_MANY_STREAMS, detail, headers={"Retry-After": "5"})
        last_id = request.headers.get("last-event-id", "")
        after = last_id if _LINE_ID.fullmatch(last_id) else ""
        events = self._events(shard, job_id, queue, after, seconds, request.scope)
        return StreamingResponse(events, headers=HEADERS, media_type=MEDIA_TYPE)

    async def _events(
        self, shard: Shard, job_id: str, queue: str, after: str, seconds: float, scope: Scope
    ) -> AsyncIterator[bytes]:
        self._metrics.streams += 1
        closing = asyncio.create_task(self._queue.closing.wait())
        said_at = time.monotonic()
        end = said_at + seconds
        told: dict[str, Any] = {}
        try:
            yield b"retry: 2000\n\n"
            is_first = True
            while (is_first or time.monotonic() < end) and not closing.done():
                is_first = False
                check_again(self._key_table, scope)
                try:
                    state = await read_progress(shard, job_id)
                    page = await read_log(shard, job_id, after, LINES_PER_READ)
                except ShardUnavailable:
                    await asyncio.wait({closing}, timeout=POLL_SECONDS)
                    continue
                if state.queue != queue:
                    # Its id may have been used again, for a job of another queue.
                    yield event("end", {"id": job_id, "status": "deleted"})
                    return
                changes = [("status", {"id": job_id, "status": state.status}), ("progress", state.progress)]
                for name, value in changes:
                    if value is not None and told.get(name) != value:
                        told[name], said_at = value, time.monotonic()
                        yield event(name, value)
                for line in page.lines:
                    after, said_at = line.id, time.monotonic()
                    yield event("log", log_line_document(line), line.id)
                if not page.lines and is_over(state.status):
                    yield event("end", {"id": job_id, "status": state.status})
                    return
                if time.monotonic() - said_at >= PING_SECONDS:
                    said_at = time.monotonic()
                    yield b": ping\n\n"
                if len(page.lines) < LINES_PER_READ:
                    await asyncio.wait({closing}, timeout=POLL_SECONDS)
        except Problem:
            return  # The key has ended.
        finally:
            self._metrics.streams -= 1
            closing.cancel()
