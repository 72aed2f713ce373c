"""`/workers`: list the workers, and let one drain."""

import logging

from fastapi import APIRouter, Request, Response

from jobqueue.audit import Author
from jobqueue.errors import ShardUnavailable
from jobqueue.workers.messages import drain_worker
from manager.http.authentication import author_of
from manager.http.json_response import json_response
from manager.http.problems import NO_SUCH_WORKER, PLAIN_RQ_WORKER, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.schemas.documents import workers_document
from manager.schemas.openapi import WORKER_NAME, problem_responses
from manager.schemas.responses import DrainedWorker, WorkerList

log = logging.getLogger(__name__)


class WorkerRoutes:
    """Handlers of the workers' routes."""

    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["queues"])
        router.add_api_route("/workers", self.list, response_model=WorkerList, responses=problem_responses(400, 503))
        router.add_api_route(
            "/workers/{name:path}/drain",
            self.drain,
            methods=["POST"],
            response_model=DrainedWorker,
            responses=problem_responses(400, 404, 409, 503),
            openapi_extra={"parameters": [WORKER_NAME]},
        )
        return router

    async def list(self, request: Request) -> Response:
        """List the workers."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        return json_response(workers_document(await self._queue.service.overview.workers()))

    async def drain(self, request: Request) -> Response:
        """Tell a worker to drain: it takes no more jobs, ends those that it runs, however long they take, and exits."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        name = str(request.path_params["name"])
        worker = next((each for each in await self._queue.service.overview.workers() if each.name == name), None)
        if worker is None:
            raise Problem(NO_SUCH_WORKER, f"there is no worker {name[:80]!r}")
        if not worker.native:
            raise Problem(PLAIN_RQ_WORKER, f"{name!r} is a worker of plain RQ: end it on its host, with SIGINT")
        author = author_of(request.scope)
        await self._send_drain(name, author)
        log.info("event=worker_drained worker=%s by=%s", name, author.actor)
        return json_response({"name": name, "draining": True})

    async def _send_drain(self, name: str, author: Author) -> None:
        """Tell it over the first shard that answers: workers listen on all of them."""
        failure: ShardUnavailable | None = None
        for shard in self._queue.service.shards:
            try:
                return await drain_worker(shard, name, author)
            except ShardUnavailable as error:
                failure = error
        assert failure is not None
        raise failure
