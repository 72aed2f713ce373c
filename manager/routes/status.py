"""`/status`: a summary of the whole system."""

import asyncio

from fastapi import APIRouter, Request, Response

from jobqueue.functions import FunctionRegistry
from jobqueue.model import ALL_QUEUES
from jobqueue.workers.registry import WorkerView
from manager.api_keys.caller import Caller
from manager.http.authentication import caller_of
from manager.http.json_response import json_response
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.queue.problems import problems_of_modules, problems_of_moves, problems_of_queues, problems_of_settings
from manager.schemas.documents import queue_documents, unfinished
from manager.schemas.openapi import problem_responses
from manager.schemas.responses import StatusResponse


class StatusRoutes:
    """Handlers of the routes about the whole system.

    Args:
        functions: tells which modules of functions cannot be read.
    """

    def __init__(self, queue: QueueConnection, functions: FunctionRegistry) -> None:
        self._queue = queue
        self._functions = functions

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["queues"])
        router.add_api_route(
            "/status", self.status, response_model=StatusResponse, responses=problem_responses(400, 503)
        )
        return router

    async def status(self, request: Request) -> Response:
        """Summarize the state of the system."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        service = self._queue.service
        (counts, unavailable), workers = await asyncio.gather(service.overview.counts(), service.overview.workers())
        caller = caller_of(request.scope)
        if caller.is_bound:
            counts = counts.only(caller.sees)
            workers = [worker for worker in workers if works_for(worker, caller)]
        unserved = await service.monitor.unserved({*counts.queues, *counts.paused})
        queues = queue_documents(counts, unserved)
        return json_response(
            {
                "Jobs": unfinished(counts),
                "rate_limited": None if caller.is_bound else counts.rate_limited,
                "Workers": len(workers),
                "completed": None if caller.is_bound else counts.completed,
                "leased": None if caller.is_bound else counts.results_leased,
                "queues": queues,
                "shards": {"total": len(service.shards), "unavailable": unavailable},
                "problems": [
                    *problems_of_moves(service.shards.moving),
                    *(() if caller.is_bound else problems_of_modules(self._functions.why_not_registered(), workers)),
                    *problems_of_queues(counts, unserved),
                    *(() if caller.is_bound else problems_of_settings(self._queue.risky_settings)),
                ],
            }
        )


def works_for(worker: WorkerView, caller: Caller) -> bool:
    """Return whether the worker serves a queue that the caller sees."""
    return any(queue in ALL_QUEUES or caller.sees(queue) for queue in worker.queues)
