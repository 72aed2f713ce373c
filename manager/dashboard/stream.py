"""Server-sent events: open pages are sent what has changed, a whole part at a time."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import Request, Response

from manager.api_keys.caller import Caller
from manager.api_keys.table import KeyTable
from manager.dashboard.live_pages import NAMES, LivePages, path_of
from manager.dashboard.sampler import Sample, Sampler
from manager.http.asgi import Scope
from manager.http.authentication import caller_of, check_again
from manager.http.permissions import check_permission
from manager.http.problems import Problem
from manager.http.query_parameters import Choice, Query
from manager.http.server_sent_events import MAX_STREAM_SECONDS, PING_SECONDS, event, stream

CHANGES = "changes"
"""The page that is only told when something has changed, and reads it by itself."""
QUERY = Query(Choice("page", "The page that is open", (*NAMES, CHANGES), required=True))


class EventStream:
    """Handler of the stream.

    Args:
        closing: set when the manager stops.
    """

    def __init__(self, sampler: Sampler, live_pages: LivePages, keys: KeyTable, closing: asyncio.Event) -> None:
        self._sampler = sampler
        self._live_pages = live_pages
        self._keys = keys
        self._closing = closing

    async def show(self, request: Request) -> Response:
        """Send the part of a page at once, and whenever it has changed."""
        page = QUERY.parse(request.scope["query_string"])["page"]
        check_permission(caller_of(request.scope), "GET", path_of(page))
        return stream(request, self._events(page, request.scope))

    async def _events(self, page: str, scope: Scope) -> AsyncIterator[bytes]:
        caller = caller_of(scope)
        end = time.monotonic() + MAX_STREAM_SECONDS
        said_at, shown, number = 0.0, "", 0
        closing = asyncio.create_task(self._closing.wait())
        try:
            while time.monotonic() < end:
                sample = await self._next(number, closing)
                if closing.done():
                    return
                try:
                    check_again(self._keys, scope)
                except Problem:
                    yield event("ended", "")
                    return
                if sample is not None:
                    number = sample.number
                    part = self._part(page, sample, caller)
                    if part != shown:
                        shown, said_at = part, time.monotonic()
                        # At first as well: what has changed since the page was made, nobody knows.
                        yield event("changed", "") if page == CHANGES else event("part", part)
                if time.monotonic() - said_at >= PING_SECONDS:
                    said_at = time.monotonic()
                    yield event("ping", "")
        finally:
            closing.cancel()

    async def _next(self, number: int, closing: "asyncio.Task[bool]") -> Sample | None:
        """Return the next sample; None if there is none for a while, or the manager stops."""
        task = asyncio.create_task(self._sampler.after(number) if number else self._sampler.current())
        try:
            await asyncio.wait({task, closing}, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()

    def _part(self, page: str, sample: Sample, caller: Caller) -> str:
        if page == CHANGES:
            return self._live_pages.seen(sample, caller)
        return self._live_pages.part(page, sample, caller)
