"""`/limits`: list, show, set and delete the numbers of limits."""

import re

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from jobqueue.inspection.limit_waits import read_waiting
from jobqueue.lifecycle.limits import delete_limit, list_limits, read_limit, save_limit
from jobqueue.sharding.shard import Shard
from manager.http.asgi import read_json
from manager.http.authentication import author_of
from manager.http.json_response import json_response
from manager.http.problems import INVALID, NO_SUCH_LIMIT, Problem, validation_problem
from manager.http.query_parameters import NO_PARAMETERS, Integer, Query
from manager.queue.connection import QueueConnection
from manager.schemas.limits import KEY_PATTERN, LimitList, LimitNumbers, LimitResponse, limit_document
from manager.schemas.openapi import LIMIT_KEY, problem_responses, request_body, schema_reference

MAX_BODY_BYTES = 4096
_KEY = re.compile(KEY_PATTERN)
LIST_QUERY = Query(Integer("limit", "Number of limits", 1, 1000, default=100))


class LimitRoutes:
    """Handlers of the limits' routes."""

    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["limits"])
        parameters = {"parameters": [LIMIT_KEY]}
        router.add_api_route(
            "/limits",
            self.list,
            methods=["GET"],
            response_model=LimitList,
            responses=problem_responses(400, 503),
            openapi_extra={"parameters": LIST_QUERY.openapi()},
        )
        router.add_api_route(
            "/limits/{key}",
            self.show,
            methods=["GET"],
            response_model=LimitResponse,
            responses=problem_responses(400, 404, 503),
            openapi_extra=parameters,
        )
        router.add_api_route(
            "/limits/{key}",
            self.save,
            methods=["PUT"],
            response_model=LimitResponse,
            responses=problem_responses(400, 413, 415, 422, 503),
            openapi_extra={
                **parameters,
                "requestBody": request_body("application/json", schema_reference("LimitNumbers")),
            },
        )
        router.add_api_route(
            "/limits/{key}",
            self.delete,
            methods=["DELETE"],
            status_code=204,
            response_class=Response,
            responses=problem_responses(400, 404, 503),
            openapi_extra=parameters,
        )
        return router

    async def list(self, request: Request) -> Response:
        """List limits, those under which a job has begun last come first."""
        query = LIST_QUERY.parse(request.scope["query_string"])
        views = await list_limits(self._shard, query["limit"])
        waiting = await read_waiting(self._shard, views)
        return json_response({"limits": [limit_document(view, waiting[view.limit.key]) for view in views]})

    async def show(self, request: Request) -> Response:
        """Show a limit: its numbers, the jobs that hold its places, and those that wait for it."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        return json_response(await self._document(str(request.path_params["key"])))

    async def save(self, request: Request) -> Response:
        """Set the numbers of a limit for all jobs, at once."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        raw = await read_json(request.scope, request.receive, MAX_BODY_BYTES)
        try:
            numbers = LimitNumbers.model_validate_json(raw)
        except ValidationError as error:
            raise validation_problem(error) from error
        key = str(request.path_params["key"])
        if not _KEY.fullmatch(key):
            message = f"must match {KEY_PATTERN}"
            raise Problem(INVALID, f"key: {message}", errors=[{"field": "key", "message": message}])
        await save_limit(self._shard, numbers.limit(key), author_of(request.scope))
        return json_response(await self._document(key))

    async def delete(self, request: Request) -> Response:
        """Leave the numbers of a limit to its jobs again."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        key = str(request.path_params["key"])
        if not await delete_limit(self._shard, _checked(key), author_of(request.scope)):
            raise _no_such_limit(key)
        return Response(status_code=204)

    @property
    def _shard(self) -> Shard:
        return self._queue.service.shards.all[0]

    async def _document(self, key: str) -> dict[str, object]:
        view = await read_limit(self._shard, _checked(key))
        if view is None:
            raise _no_such_limit(key)
        return limit_document(view, (await read_waiting(self._shard, [view]))[key])


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise _no_such_limit(key)
    return key


def _no_such_limit(key: str) -> Problem:
    return Problem(NO_SUCH_LIMIT, f"there is no limit with the key {key[:80]!r}")
