"""`/events`: what changes in jobs of all queues, as server-sent events."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from jobqueue.errors import ShardUnavailable
from jobqueue.inspection.counters import ShardCounts
from jobqueue.model import Status
from jobqueue.stored_values import shown_name
from manager.api_keys.table import KeyTable
from manager.events.replay import Gap, positions_of, replay
from manager.events.shared_read import SharedRead
from manager.events.subscriptions import ChangeFilter, Subscription, event_id_of
from manager.http.asgi import Scope
from manager.http.authentication import caller_of, check_again
from manager.http.problems import Problem
from manager.http.query_parameters import Choice, Number, Query, Text
from manager.http.server_sent_events import (
    CHECK_SECONDS,
    MAX_STREAM_SECONDS,
    MEDIA_TYPE,
    PING_SECONDS,
    RETRY,
    event,
    ping,
    stream,
)
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.schemas.openapi import problem_responses
from manager.schemas.submission import LABEL_NAME_PATTERN, LABEL_VALUE_PATTERN

RETRY_SECONDS = 0.5
"""Pause before shards that did not answer are asked again."""
GAP = "changes may be missing here: they are not kept any more, or Redis was away"
DROPPED = "the client reads more slowly than changes come: connect again, and ask for fewer with a filter"

QUERY = Query(
    Text("queue", "Only jobs of this queue", r"[^\x00-\x1f\x7f]{1,256}"),
    Choice("status", "Only changes to this status", (*Status, "deleted")),
    Text("label", "Only jobs with this label, `NAME:VALUE`", f"{LABEL_NAME_PATTERN}:{LABEL_VALUE_PATTERN}"),
    Number("wait", "Seconds after which the stream ends, to be opened again", 0, MAX_STREAM_SECONDS, default=900),
)


class EventRoutes:
    """Handler of the route.

    Args:
        key_table: the keys that this manager knows: one can end while a stream is open.
    """

    def __init__(self, queue: QueueConnection, key_table: KeyTable, metrics: Metrics) -> None:
        self._queue = queue
        self._key_table = key_table
        self._metrics = metrics
        self._counts = SharedRead(self._read_counts)

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["jobs"])
        router.add_api_route(
            "/events",
            self.show,
            methods=["GET"],
            response_class=Response,
            responses={
                200: {
                    "description": "Events `snapshot`, `status`, `gap` and `dropped`",
                    "content": {MEDIA_TYPE: {}},
                },
                **problem_responses(400, 503),
            },
            openapi_extra={"parameters": QUERY.openapi()},
        )
        return router

    async def show(self, request: Request) -> Response:
        """Send how many jobs each queue has at once, and then each change of a job's status.

        The id of an event, sent back as `Last-Event-ID` to any manager, asks for the changes after it instead.
        """
        query = QUERY.parse(request.scope["query_string"])
        _ = self._queue.service  # 503 until Redis has been reached.
        name, _, value = (query["label"] or "").partition(":")
        label = (name, value) if name else None
        change_filter = ChangeFilter(caller_of(request.scope), query["queue"], query["status"], label)
        last_id = request.headers.get("last-event-id", "")
        end = time.monotonic() + query["wait"]
        events = self._events(change_filter, last_id, end, request.scope)
        return stream(request, events, open_streams=self._metrics.streams)

    async def _events(
        self, change_filter: ChangeFilter, last_id: str, end: float, scope: Scope
    ) -> AsyncIterator[bytes]:
        changes = self._queue.service.changes
        with self._metrics.open_stream(), changes.subscribe(change_filter) as subscription:
            yield RETRY
            await changes.ready()
            needs_snapshot = not last_id
            if last_id:
                try:
                    async for piece in self._replay(change_filter, subscription, last_id):
                        check_again(self._key_table, scope)
                        yield piece
                except (Gap, ShardUnavailable):
                    subscription.tell_gap()
                except Problem:
                    return  # The key has ended.
            said_at = time.monotonic()
            while not subscription.is_over:
                try:
                    check_again(self._key_table, scope)
                except Problem:
                    return
                if subscription.is_dropped:
                    self._metrics.streams_dropped += 1
                    yield event("dropped", {"reason": DROPPED})
                    return
                pieces = []
                if subscription.has_gap:
                    needs_snapshot, subscription.has_gap = True, False
                    pieces.append(event("gap", {"reason": GAP}))
                if needs_snapshot:
                    # What changes while it is read is told behind it, too.
                    subscription.take()
                    snapshot = await self._snapshot(change_filter, changes.positions)
                    needs_snapshot = snapshot is None
                    if snapshot is None:
                        await subscription.pause(RETRY_SECONDS)
                    else:
                        pieces.append(snapshot)
                else:
                    pieces.append(subscription.take())
                now = time.monotonic()
                if events := b"".join(pieces):
                    said_at = now
                    yield events
                elif now - said_at >= PING_SECONDS:
                    said_at = now
                    yield ping(event_id_of(changes.positions))
                if now >= end:
                    return
                await subscription.wait(min(CHECK_SECONDS, end - now))

    async def _replay(
        self, change_filter: ChangeFilter, subscription: Subscription, last_id: str
    ) -> AsyncIterator[bytes]:
        service = self._queue.service
        after = positions_of(last_id, len(service.shards))
        if after is None:
            raise Gap
        # The other manager may have been a moment ahead.
        await service.changes.reach(after)
        subscription.take()
        async for piece in replay(service.shards, change_filter, after, service.changes.positions):
            if piece:
                yield piece

    async def _read_counts(self) -> tuple[ShardCounts, int]:
        return await self._queue.service.overview.counts()

    async def _snapshot(self, change_filter: ChangeFilter, positions: Sequence[str]) -> bytes | None:
        """Return the event; None if no shard answers."""
        try:
            counts, shards_missing = await self._counts.get()
        except ShardUnavailable:
            return None
        queues: dict[str, Any] = {}
        for name, queue in counts.queues.items():
            if change_filter.queue in (None, name) and change_filter.caller.sees(name):
                queues[shown_name(name)] = {status: count for status, count in asdict(queue).items() if count}
                queues[shown_name(name)].pop("oldest_seconds", None)
                queues[shown_name(name)].pop("limited", None)
        return event("snapshot", {"queues": queues, "shards_missing": shards_missing}, event_id_of(positions))
