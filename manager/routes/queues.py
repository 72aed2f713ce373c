"""The queue at a glance: `/queues`, `/workers`, `/status`; and `requeue-failed`."""

import asyncio
import re

import orjson
from fastapi import APIRouter, Request, Response

from manager.http.problems import NO_SUCH_ROUTE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.service import QueueConnection
from manager.schemas.openapi import QUEUE_NAME, problem_responses
from manager.schemas.responses import (
    QueueList,
    Requeued,
    StatusResponse,
    WorkerList,
    queue_document,
    unfinished,
    workers_document,
)

# Stock clients name their queues as they like.
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,256}")


class QueueRoutes:
    """The handlers."""

    def __init__(self, link: QueueConnection) -> None:
        self._link = link

    def router(self) -> APIRouter:
        """The routes of these handlers."""
        router = APIRouter(tags=["queues"])
        router.add_api_route("/queues", self.queues, response_model=QueueList, responses=problem_responses(400, 503))
        router.add_api_route("/workers", self.workers, response_model=WorkerList, responses=problem_responses(400, 503))
        router.add_api_route(
            "/status", self.status, response_model=StatusResponse, responses=problem_responses(400, 503)
        )
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
        """Counts the jobs of each queue by status."""
        NO_PARAMETERS.read(request.scope["query_string"])
        counts, _ = await self._link.service.overview.counts()
        return _json({"queues": [queue_document(name, queue) for name, queue in counts.queues.items()]})

    async def workers(self, request: Request) -> Response:
        """Lists the workers."""
        NO_PARAMETERS.read(request.scope["query_string"])
        return _json(workers_document(await self._link.service.overview.workers()))

    async def status(self, request: Request) -> Response:
        """Sums up what the system holds now."""
        NO_PARAMETERS.read(request.scope["query_string"])
        service = self._link.service
        (counts, away), workers = await asyncio.gather(service.overview.counts(), service.overview.workers())
        return _json(
            {
                "Jobs": unfinished(counts.total),
                "Workers": len(workers),
                "completed": counts.completed,
                "leased": counts.pulled,
                "queues": {name: queue_document(name, queue) for name, queue in counts.queues.items()},
                "shards": {"total": len(service.shards), "away": away},
            }
        )

    async def requeue_failed(self, request: Request) -> Response:
        """Puts all failed jobs of a queue back on it."""
        NO_PARAMETERS.read(request.scope["query_string"])
        name = str(request.path_params["name"])
        if not _NAME.fullmatch(name):
            raise Problem(NO_SUCH_ROUTE, "no queue can have this name")
        return _json({"requeued": await self._link.service.operations.requeue_failed(name)})


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
