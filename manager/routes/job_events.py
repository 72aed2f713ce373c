"""`/jobs/{id}/events`: a job's life as it happens, as server-sent events."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from jobqueue.errors import ShardUnavailable
from jobqueue.inspection.job_views import read_progress, read_queues
from jobqueue.lifecycle.notes import read_log
from jobqueue.model import is_over
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from manager.api_keys.table import KeyTable
from manager.http.asgi import HEAD, Scope
from manager.http.authentication import caller_of, check_again
from manager.http.problems import NO_SUCH_JOB, TOO_MANY_STREAMS, Problem
from manager.http.query_parameters import Number, Query
from manager.queue.connection import QueueConnection
from manager.schemas.documents import log_line_document
from manager.schemas.openapi import JOB_ID, problem_responses
from manager.schemas.submission import ID_PATTERN

POLL_SECONDS = 0.5
"""How often a stream looks; workers write no more often."""
PING_SECONDS = 15.0
"""Proxies give up on a connection that says nothing for 50 s."""
MAX_STREAM_SECONDS = 900.0
"""Then the client connects again, and its key is checked."""
MAX_STREAMS = 500
"""At one manager: each asks Redis twice a second."""
LINES_PER_READ = 500

QUERY = Query(
    Number("wait", "Seconds after which the stream ends, to be opened again", 0, MAX_STREAM_SECONDS, default=900)
)
_DESCRIPTION = "Events `status`, `progress`, `log` and `end`, each with JSON as its data"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_JOB_ID = re.compile(ID_PATTERN)
_LINE_ID = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")


class JobEventRoutes:
    """Handler of the route.

    Args:
        key_table: the keys that this manager knows: one can end while a stream is open.
    """

    def __init__(self, queue: QueueConnection, key_table: KeyTable) -> None:
        self._queue = queue
        self._key_table = key_table
        self._open = 0

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
                    "content": {"text/event-stream": {}},
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
            return Response(headers=_HEADERS, media_type="text/event-stream")
        if self._open >= MAX_STREAMS:
            detail = f"this manager has {MAX_STREAMS} open streams: use another manager, or GET /jobs/{{id}}?wait="
            raise Problem(TOO_MANY_STREAMS, detail, headers={"Retry-After": "5"})
        last_id = request.headers.get("last-event-id", "")
        after = last_id if _LINE_ID.fullmatch(last_id) else ""
        events = self._events(shard, job_id, queue, after, seconds, request.scope)
        return StreamingResponse(events, headers=_HEADERS, media_type="text/event-stream")

    async def _events(
        self, shard: Shard, job_id: str, queue: str, after: str, seconds: float, scope: Scope
    ) -> AsyncIterator[bytes]:
        self._open += 1
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
                    yield _event("end", {"id": job_id, "status": "deleted"})
                    return
                changes = [("status", {"id": job_id, "status": state.status}), ("progress", state.progress)]
                for name, value in changes:
                    if value is not None and told.get(name) != value:
                        told[name], said_at = value, time.monotonic()
                        yield _event(name, value)
                for line in page.lines:
                    after, said_at = line.id, time.monotonic()
                    yield _event("log", log_line_document(line), line.id)
                if not page.lines and is_over(state.status):
                    yield _event("end", {"id": job_id, "status": state.status})
                    return
                if time.monotonic() - said_at >= PING_SECONDS:
                    said_at = time.monotonic()
                    yield b": ping\n\n"
                if len(page.lines) < LINES_PER_READ:
                    await asyncio.wait({closing}, timeout=POLL_SECONDS)
        except Problem:
            return  # The key has ended.
        finally:
            self._open -= 1
            closing.cancel()


def _event(name: str, value: Any, event_id: str = "") -> bytes:
    identity = f"id: {event_id}\n" if event_id else ""
    return f"event: {name}\n{identity}data: ".encode() + orjson.dumps(value) + b"\n\n"
