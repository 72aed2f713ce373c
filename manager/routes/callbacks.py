"""`/callbacks`: list and show callbacks, send them again, and let listeners fetch theirs."""

import asyncio
import re
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from jobqueue.callbacks.entry import LISTENER_PREFIX, job_id_of
from jobqueue.callbacks.outbox import retry_callbacks
from jobqueue.inspection.callback_listing import (
    CallbackStatus,
    CallbackView,
    dead_callbacks,
    find_callback,
    list_callbacks,
    view_callback,
)
from jobqueue.sharding.shard import Shard
from manager.api_keys.caller import Caller
from manager.callbacks.listener import acknowledge_heard, hear
from manager.callbacks.target import LISTENER_PATTERN
from manager.http.asgi import disconnect_watch, read_json, read_optional_json
from manager.http.authentication import caller_of
from manager.http.json_response import json_response
from manager.http.problems import NO_SUCH_CALLBACK, Problem, validation_problem
from manager.http.query_parameters import NO_PARAMETERS, Choice, Integer, Number, Query, Text
from manager.queue.connection import QueueConnection
from manager.queue.long_poll import ANSWER_SECONDS, MAX_WAIT_SECONDS
from manager.schemas.callbacks import (
    AcknowledgedCallbacks,
    CallbackDetails,
    CallbackList,
    HeardCallbacks,
    ListenerAckBody,
    ReplayBody,
    ReplayedCallbacks,
    callback_document,
    details_document,
)
from manager.schemas.json_types import parse_instant
from manager.schemas.openapi import CALLBACK_ID, problem_responses, request_body, schema_reference

LIST_QUERY = Query(
    Choice("status", "Only callbacks with this status", tuple(CallbackStatus)),
    Text("host", "Only callbacks for this host and port", r"[^\x00-\x1f\x7f]{1,300}"),
    Integer("limit", "Maximum number of callbacks", 1, 1000, default=100),
    Text("cursor", "The `cursor` of the page before", "[A-Za-z0-9_-]{1,1024}"),
)
LISTEN_QUERY = Query(
    Text("name", "The listener: jobs name it in a URL `listen:NAME`", LISTENER_PATTERN, required=True),
    Integer("limit", "Maximum number of callbacks", 1, 100, default=10),
    Number(
        "wait",
        f"Seconds to wait for the first one; the answer comes after {ANSWER_SECONDS} at the latest",
        0,
        MAX_WAIT_SECONDS,
        default=0,
    ),
)
MAX_BODY_BYTES = 64 * 1024
REPLAY_PAGE = 500

_CALLBACK_ID = re.compile(r"[A-Za-z0-9_-]{1,300}", re.ASCII)


class CallbackRoutes:
    """Handlers of the routes of callbacks.

    Args:
        signing_keys: sign what listeners fetch.
    """

    def __init__(self, queue: QueueConnection, signing_keys: Sequence[bytes]) -> None:
        self._queue = queue
        self._signing_keys = signing_keys

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["callbacks"])
        router.add_api_route(
            "/callbacks",
            self.list,
            response_model=CallbackList,
            responses=problem_responses(400, 503),
            openapi_extra={"parameters": LIST_QUERY.openapi()},
        )
        # These must come before `/callbacks/{callback_id}/retry`.
        router.add_api_route(
            "/callbacks/replay",
            self.replay,
            methods=["POST"],
            response_model=ReplayedCallbacks,
            responses=problem_responses(400, 413, 415, 422, 503),
            openapi_extra={
                "requestBody": request_body("application/json", schema_reference("ReplayBody"), required=False)
            },
        )
        router.add_api_route(
            "/callbacks/listen",
            self.listen,
            methods=["POST"],
            response_model=HeardCallbacks,
            responses=problem_responses(400, 503),
            openapi_extra={"parameters": LISTEN_QUERY.openapi()},
        )
        router.add_api_route(
            "/callbacks/listen/ack",
            self.acknowledge,
            methods=["POST"],
            response_model=AcknowledgedCallbacks,
            responses=problem_responses(400, 413, 415, 422, 503),
            openapi_extra={"requestBody": request_body("application/json", schema_reference("ListenerAckBody"))},
        )
        router.add_api_route(
            "/callbacks/{callback_id}",
            self.show,
            response_model=CallbackDetails,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [CALLBACK_ID]},
        )
        router.add_api_route(
            "/callbacks/{callback_id}/retry",
            self.retry,
            methods=["POST"],
            response_model=CallbackDetails,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [CALLBACK_ID]},
        )
        return router

    async def list(self, request: Request) -> Response:
        """List callbacks: those that wait, then those that were given up, then those delivered in the last day."""
        query = LIST_QUERY.parse(request.scope["query_string"])
        page = await list_callbacks(
            self._queue.service.shards,
            status=None if query["status"] is None else CallbackStatus(query["status"]),
            host=query["host"],
            limit=query["limit"],
            cursor=query["cursor"],
            shows=caller_of(request.scope).sees,
        )
        return json_response({"callbacks": [callback_document(each) for each in page.callbacks], "cursor": page.cursor})

    async def show(self, request: Request) -> Response:
        """Show a callback and its attempts."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        _, view = await self._visible(request)
        return json_response(details_document(view))

    async def retry(self, request: Request) -> Response:
        """Send a callback at once, also one that was given up or delivered; it has all its attempts again."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        shard, view = await self._visible(request)
        if not (await retry_callbacks(shard, [view.entry.id]))[0]:
            raise _no_such_callback(view.entry.id)
        return json_response(details_document(await view_callback(shard, view.entry.id) or view))

    async def replay(self, request: Request) -> Response:
        """Send callbacks again that were given up."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        raw = await read_optional_json(request.scope, request.receive, MAX_BODY_BYTES)
        try:
            body = ReplayBody.model_validate_json(raw)
        except ValidationError as error:
            raise validation_problem(error) from error
        since = 0.0 if body.since is None else parse_instant(body.since)
        caller, count = caller_of(request.scope), 0
        for shard in self._queue.service.shards:
            count += await _replay(shard, since, body.host, caller)
        return json_response({"callbacks": count})

    async def listen(self, request: Request) -> Response:
        """Fetch callbacks of jobs whose URL is `listen:NAME`. They come again unless they are acknowledged."""
        query = LISTEN_QUERY.parse(request.scope["query_string"])
        host, wait_seconds = LISTENER_PREFIX + query["name"], min(query["wait"], ANSWER_SECONDS)
        shards = self._queue.service.shards
        async with disconnect_watch(request.receive) as disconnect:
            closing = asyncio.create_task(self._queue.closing.wait())
            try:
                stops = asyncio.wait({closing, disconnect}, return_when=asyncio.FIRST_COMPLETED)
                heard = await hear(shards, host, query["limit"], self._signing_keys, wait_seconds, stops)
            finally:
                closing.cancel()
        return json_response({"callbacks": heard})

    async def acknowledge(self, request: Request) -> Response:
        """Confirm that a listener has taken callbacks."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        raw = await read_json(request.scope, request.receive, MAX_BODY_BYTES)
        try:
            body = ListenerAckBody.model_validate_json(raw)
        except ValidationError as error:
            raise validation_problem(error) from error
        return json_response({"acknowledged": await acknowledge_heard(self._queue.service.shards, body.receipts)})

    async def _visible(self, request: Request) -> tuple[Shard, CallbackView]:
        """Return the callback of the path, if the caller sees the queue of its job."""
        callback_id = str(request.path_params["callback_id"])
        if not _CALLBACK_ID.fullmatch(callback_id) or job_id_of(callback_id) is None:
            raise _no_such_callback(callback_id)
        found = await find_callback(self._queue.service.shards, callback_id)
        if found is None or not caller_of(request.scope).sees(found[1].entry.queue):
            raise _no_such_callback(callback_id)
        return found


async def _replay(shard: Shard, since: float, host: str | None, caller: Caller) -> int:
    """Make due what was given up on a shard; return the number."""
    after, count = (0.0, ""), 0
    while places := await dead_callbacks(shard, since, after, REPLAY_PAGE):
        after = places[-1]
        wanted = []
        for _, callback_id in places:
            view = await view_callback(shard, callback_id)
            if view is not None and host in (None, view.entry.host) and caller.sees(view.entry.queue):
                wanted.append(callback_id)
        if wanted:
            count += sum(await retry_callbacks(shard, wanted))
    return count


def _no_such_callback(callback_id: str) -> Problem:
    return Problem(NO_SUCH_CALLBACK, f"there is no callback with the id {callback_id[:80]!r}")
