"""`/queues`: count the jobs of each queue, requeue the failed ones of a queue, pause and resume it."""

import re

from fastapi import APIRouter, Request, Response

from manager.http.authentication import author_of, caller_of
from manager.http.json_response import json_response
from manager.http.problems import NO_SUCH_ROUTE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.schemas.documents import queue_documents
from manager.schemas.openapi import QUEUE_NAME, problem_responses
from manager.schemas.responses import PausedQueue, QueueList, Requeued

# Plain RQ clients can name queues freely.
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class QueueRoutes:
    """Handlers of the queues' routes."""

    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["queues"])
        router.add_api_route("/queues", self.queues, response_model=QueueList, responses=problem_responses(400, 503))
        router.add_api_route(
            "/queues/{name:path}/requeue-failed",
            self.requeue_failed,
            methods=["POST"],
            response_model=Requeued,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [QUEUE_NAME]},
        )
        for verb, handler in (("pause", self.pause), ("resume", self.resume)):
            router.add_api_route(
                f"/queues/{{name:path}}/{verb}",
                handler,
                methods=["POST"],
                response_model=PausedQueue,
                responses=problem_responses(400, 404, 503),
                openapi_extra={"parameters": [QUEUE_NAME]},
            )
        return router

    async def queues(self, request: Request) -> Response:
        """Count the jobs of each queue by status; tell whether a worker serves it and whether it is paused."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        service = self._queue.service
        counts, _ = await service.overview.counts()
        caller = caller_of(request.scope)
        if caller.is_bound:
            counts = counts.only(caller.sees)
        unserved = await service.monitor.unserved({*counts.queues, *counts.paused})
        return json_response({"queues": list(queue_documents(counts, unserved).values())})

    async def requeue_failed(self, request: Request) -> Response:
        """Requeue all failed jobs of a queue."""
        name = _queue_name(request)
        if not caller_of(request.scope).sees(name):
            # As for a queue that has never had a job.
            return json_response({"requeued": 0})
        return json_response({"requeued": await self._queue.service.operations.requeue_failed(name)})

    async def pause(self, request: Request) -> Response:
        """Pause a queue, also one that has had no job yet: workers take no job of it until it is resumed.

        Jobs that run go on.
        """
        name = _queue_name(request)
        await self._queue.service.monitor.pause(name, author_of(request.scope))
        return json_response({"name": name, "paused": True})

    async def resume(self, request: Request) -> Response:
        """Resume a queue. Without a pause, this changes nothing."""
        name = _queue_name(request)
        await self._queue.service.monitor.resume(name, author_of(request.scope))
        return json_response({"name": name, "paused": False})


def _queue_name(request: Request) -> str:
    NO_PARAMETERS.parse(request.scope["query_string"])
    name = str(request.path_params["name"])
    if not _NAME.fullmatch(name):
        raise Problem(NO_SUCH_ROUTE, "a queue cannot have this name")
    return name
