"""`/status` and `/workers`: a summary of the whole system, and its workers."""

import asyncio

from fastapi import APIRouter, Request, Response

from manager.http.json_response import json_response
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.schemas.documents import queue_document, unfinished, workers_document
from manager.schemas.openapi import problem_responses
from manager.schemas.responses import StatusResponse, WorkerList


class StatusRoutes:
    """Handlers of the routes about the whole system."""

    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["queues"])
        router.add_api_route("/workers", self.workers, response_model=WorkerList, responses=problem_responses(400, 503))
        router.add_api_route(
            "/status", self.status, response_model=StatusResponse, responses=problem_responses(400, 503)
        )
        return router

    async def workers(self, request: Request) -> Response:
        """List the workers."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        return json_response(workers_document(await self._queue.service.overview.workers()))

    async def status(self, request: Request) -> Response:
        """Summarize the state of the system."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        service = self._queue.service
        (counts, unavailable), workers = await asyncio.gather(service.overview.counts(), service.overview.workers())
        return json_response(
            {
                "Jobs": unfinished(counts.total),
                "Workers": len(workers),
                "completed": counts.completed,
                "leased": counts.results_leased,
                "queues": {name: queue_document(name, queue) for name, queue in counts.queues.items()},
                "shards": {"total": len(service.shards), "unavailable": unavailable},
            }
        )
