"""`POST /jobs/wait`: wait for many jobs in one request."""

import asyncio

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from manager.api_keys.table import KeyTable
from manager.http.asgi import disconnect_watch, read_json
from manager.http.authentication import caller_of, check_again
from manager.http.json_response import json_response
from manager.http.problems import validation_problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.queue.job_wait import StatusReader, has_ended, wait_for_jobs
from manager.queue.long_poll import ANSWER_SECONDS
from manager.schemas.openapi import problem_responses, request_body, schema_reference
from manager.schemas.wait import WaitBody, WaitedJobs

MAX_BODY_BYTES = 4 * 1024 * 1024


class JobWaitRoute:
    """The handler of `POST /jobs/wait`.

    Args:
        key_table: tells whether the key of a request that waits is still valid.
    """

    def __init__(self, queue: QueueConnection, key_table: KeyTable) -> None:
        self._queue = queue
        self._key_table = key_table

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["jobs"])
        router.add_api_route(
            "/jobs/wait",
            self.wait,
            methods=["POST"],
            response_model=WaitedJobs,
            responses=problem_responses(400, 413, 415, 422, 503),
            openapi_extra={"requestBody": request_body("application/json", schema_reference("WaitBody"))},
        )
        return router

    async def wait(self, request: Request) -> Response:
        """Wait until one of many jobs has ended, or all of them; show the status of each."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        try:
            body = WaitBody.model_validate_json(await read_json(request.scope, request.receive, MAX_BODY_BYTES))
        except ValidationError as error:
            raise validation_problem(error) from error
        wait_for_any = bool(body.any)
        reader = StatusReader(self._queue.service.shards, caller_of(request.scope).sees)
        closing = asyncio.create_task(self._queue.closing.wait())
        try:
            async with disconnect_watch(request.receive) as disconnect:
                statuses = await wait_for_jobs(
                    *(reader, body.ids),
                    wait_for_any=wait_for_any,
                    seconds=min(body.timeout, ANSWER_SECONDS),
                    until=(closing, disconnect),
                )
        finally:
            closing.cancel()
        check_again(self._key_table, request.scope)
        ended = [has_ended(status) for status in statuses.values()]
        return json_response({"done": any(ended) if wait_for_any else all(ended), "statuses": statuses})
