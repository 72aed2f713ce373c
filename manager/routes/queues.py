"""`/queues`: count the jobs of each queue, requeue the failed ones of a queue."""

import re

from fastapi import APIRouter, Request, Response

from manager.http.json_response import json_response
from manager.http.problems import NO_SUCH_ROUTE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.schemas.documents import queue_document
from manager.schemas.openapi import QUEUE_NAME, problem_responses
from manager.schemas.responses import QueueList, Requeued

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
            "/queues/{name}/requeue-failed",
            self.requeue_failed,
            methods=["POST"],
            response_model=Requeued,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [QUEUE_NAME]},
        )
        return router

    async def queues(self, request: Request) -> Response:
        """Count the jobs of each queue by status."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        counts, _ = await self._queue.service.overview.counts()
        return json_response({"queues": [queue_document(name, queue) for name, queue in counts.queues.items()]})

    async def requeue_failed(self, request: Request) -> Response:
        """Requeue all failed jobs of a queue."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        name = str(request.path_params["name"])
        if not _NAME.fullmatch(name):
            raise Problem(NO_SUCH_ROUTE, "a queue cannot have this name")
        return json_response({"requeued": await self._queue.service.operations.requeue_failed(name)})
