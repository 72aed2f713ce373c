"""`/operations`: requeue, cancel or delete all jobs that match a filter."""

import logging
import re
import secrets

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from jobqueue.sharding.shard import Shard
from jobqueue.timestamps import iso
from manager.api_keys.caller import Caller
from manager.http.asgi import read_json
from manager.http.authentication import author_of, caller_of
from manager.http.json_response import json_response
from manager.http.permissions import queue_forbidden
from manager.http.problems import (
    NO_SUCH_OPERATION,
    OPERATION_CONFLICT,
    TOO_MANY_OPERATIONS,
    WRONG_STATUS,
    Problem,
    validation_problem,
)
from manager.http.query_parameters import NO_PARAMETERS, Integer, Query
from manager.operations.operation import Operation
from manager.operations.store import MAX_OPEN, cancel_operation, create_operation, list_operations, read_operation
from manager.queue.connection import QueueConnection
from manager.schemas.openapi import OPERATION_ID, problem_responses, request_body, schema_reference
from manager.schemas.operations import OperationBody, OperationList, OperationResponse, operation_document
from manager.schemas.submission import ID_PATTERN

MAX_BODY_BYTES = 16 * 1024
LIST_QUERY = Query(Integer("limit", "Number of operations", 1, 1000, default=100))

_ID = re.compile(ID_PATTERN, re.ASCII)

log = logging.getLogger(__name__)


class OperationRoutes:
    """Handlers of the operations' routes."""

    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["operations"])
        router.add_api_route(
            "/operations",
            self.start,
            methods=["POST"],
            status_code=201,
            response_model=OperationResponse,
            responses={
                200: {"description": "It was started before, with the same content", "model": OperationResponse},
                **problem_responses(400, 409, 413, 415, 422, 503),
            },
            openapi_extra={"requestBody": request_body("application/json", schema_reference("OperationBody"))},
        )
        router.add_api_route(
            "/operations",
            self.list,
            methods=["GET"],
            response_model=OperationList,
            responses=problem_responses(400, 503),
            openapi_extra={"parameters": LIST_QUERY.openapi()},
        )
        parameters = {"parameters": [OPERATION_ID]}
        router.add_api_route(
            "/operations/{operation_id}",
            self.show,
            methods=["GET"],
            response_model=OperationResponse,
            responses=problem_responses(400, 404, 503),
            openapi_extra=parameters,
        )
        router.add_api_route(
            "/operations/{operation_id}/cancel",
            self.cancel,
            methods=["POST"],
            response_model=OperationResponse,
            responses=problem_responses(400, 404, 409, 503),
            openapi_extra=parameters,
        )
        return router

    async def start(self, request: Request) -> Response:
        """Start an operation; a manager works through it in the background."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        raw = await read_json(request.scope, request.receive, MAX_BODY_BYTES)
        try:
            body = OperationBody.model_validate_json(raw)
        except ValidationError as error:
            raise validation_problem(error) from error
        caller, author = caller_of(request.scope), author_of(request.scope)
        wanted = body.filter.to_filter()
        if wanted.queue is not None and not caller.sees(wanted.queue):
            raise queue_forbidden(caller, wanted.queue)
        operation = Operation(
            *(body.id or secrets.token_hex(16), body.action, wanted, body.dry_run),
            queues=caller.queues,
            actor=author.actor,
            created_at=iso(None),
        )
        outcome = await create_operation(self._shard, operation, author)
        if outcome == "full":
            raise Problem(TOO_MANY_OPERATIONS, f"{MAX_OPEN} operations have not ended: cancel some, or wait")
        if outcome == "conflict":
            raise Problem(OPERATION_CONFLICT, f"operation {operation.id} was started before, for something else")
        if outcome == "repeated":
            operation = await self._find(operation.id, caller)
        else:
            log.info("event=operation_started operation=%s action=%s by=%s", operation.id, body.action, author.actor)
        location = {"Location": f"/operations/{operation.id}"}
        return json_response(operation_document(operation), 201 if outcome == "created" else 200, location)

    async def list(self, request: Request) -> Response:
        """List operations, the latest first; a key that is bound to queues sees its own."""
        query = LIST_QUERY.parse(request.scope["query_string"])
        caller = caller_of(request.scope)
        found = await list_operations(self._shard, query["limit"])
        return json_response({"operations": [operation_document(each) for each in found if _is_seen(each, caller)]})

    async def show(self, request: Request) -> Response:
        """Show an operation, and how far it has come."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        return json_response(operation_document(await self._find(_id_of(request), caller_of(request.scope))))

    async def cancel(self, request: Request) -> Response:
        """Let an operation end after the step that it is in. What it has changed, stays so."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        operation = await self._find(_id_of(request), caller_of(request.scope))
        author = author_of(request.scope)
        outcome = await cancel_operation(self._shard, operation.id, author)
        if outcome == "missing":
            raise _no_such_operation(operation.id)
        if outcome == "ended":
            raise Problem(WRONG_STATUS, f"operation {operation.id} has ended: it cannot be canceled")
        log.info("event=operation_canceled operation=%s by=%s", operation.id, author.actor)
        return json_response(operation_document(await self._find(operation.id, caller_of(request.scope))))

    @property
    def _shard(self) -> Shard:
        return self._queue.service.shards.all[0]

    async def _find(self, operation_id: str, caller: Caller) -> Operation:
        operation = await read_operation(self._shard, operation_id)
        if operation is None or not _is_seen(operation, caller):
            raise _no_such_operation(operation_id)
        return operation


def _is_seen(operation: Operation, caller: Caller) -> bool:
    return not caller.is_bound or operation.actor == caller.key_id


def _id_of(request: Request) -> str:
    operation_id = str(request.path_params["operation_id"])
    if not _ID.fullmatch(operation_id):
        raise _no_such_operation(operation_id)
    return operation_id


def _no_such_operation(operation_id: str) -> Problem:
    return Problem(NO_SUCH_OPERATION, f"there is no operation with the id {operation_id[:80]!r}")
