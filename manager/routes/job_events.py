"""`/jobs/{id}/events`: a job's life as it happens, as server-sent events."""

import re
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response

from jobqueue.errors import ShardUnavailable
from jobqueue.inspection.job_states import read_queues
from jobqueue.sharding.find_shard import find_shard
from manager.api_keys.table import KeyTable
from manager.http.asgi import Scope
from manager.http.authentication import caller_of, check_again
from manager.http.problems import Problem
from manager.http.query_parameters import Number, Query
from manager.http.server_sent_events import (
    CHECK_SECONDS,
    MAX_STREAM_SECONDS,
    MEDIA_TYPE,
    PING_SECONDS,
    RETRY,
    ping,
    stream,
)
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.routes.job_story import JobStory
from manager.routes.jobs import job_id_of, no_such_job
from manager.schemas.openapi import JOB_ID, problem_responses

RETRY_SECONDS = 0.5
"""Pause before a shard that did not answer is asked again."""

QUERY = Query(
    Number("wait", "Seconds after which the stream ends, to be opened again", 0, MAX_STREAM_SECONDS, default=900)
)
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
        job_id, caller = job_id_of(request), caller_of(request.scope)
        shard = await find_shard(self._queue.service.shards, job_id)
        (queue,) = (None,) if shard is None else await read_queues(shard, [job_id])
        if shard is None or queue is None or not caller.sees(queue):
            raise no_such_job(job_id)
        last_id = request.headers.get("last-event-id", "")
        story = JobStory(shard, job_id, queue, last_id if _LINE_ID.fullmatch(last_id) else "")
        events = self._events(story, time.monotonic() + seconds, request.scope)
        return stream(request, events, open_streams=self._metrics.streams)

    async def _events(self, story: JobStory, end: float, scope: Scope) -> AsyncIterator[bytes]:
        changes = self._queue.service.changes
        with self._metrics.open_stream(), changes.watch_job(story.shard, story.job_id) as watch:
            yield RETRY
            await changes.ready(story.shard)
            said_at = time.monotonic()
            while not watch.is_over:
                try:
                    check_again(self._key_table, scope)
                except Problem:
                    return  # The key has ended.
                try:
                    async for piece in story.tell(watch):
                        yield piece
                        said_at = time.monotonic()
                except ShardUnavailable:
                    watch.look()
                    await watch.pause(RETRY_SECONDS)
                now = time.monotonic()
                if story.has_ended or now >= end:
                    return
                if now - said_at >= PING_SECONDS:
                    said_at = now
                    yield ping()
                await watch.wait(min(CHECK_SECONDS, end - now))
