"""The manager itself: `/healthz`, `/readyz`, `/metrics`."""

import asyncio

import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from jobqueue.errors import ShardUnavailable
from manager.cluster.reconciler import Steward
from manager.http.problems import STOPPING, UNAVAILABLE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.metrics import Metrics
from manager.queue.service import QueueLink
from manager.schemas.openapi import problems
from manager.schemas.responses import Alive, Ready

SCRAPE_SECONDS = 2.0
_RETRY = {"Retry-After": "1"}


class NodeRoutes:
    """The handlers."""

    def __init__(self, link: QueueLink, metrics: Metrics, steward: Steward | None) -> None:
        self._link = link
        self._metrics = metrics
        self._steward = steward

    def router(self) -> APIRouter:
        """The routes of these handlers."""
        router = APIRouter(tags=["manager"])
        router.add_api_route("/healthz", self.alive, response_model=Alive, responses=problems(400))
        router.add_api_route("/readyz", self.ready, response_model=Ready, responses=problems(400, 503))
        router.add_api_route(
            "/metrics",
            self.show_metrics,
            response_class=Response,
            responses={
                200: {"description": "For Prometheus", "content": {"text/plain": {"schema": {"type": "string"}}}},
                **problems(400),
            },
        )
        return router

    async def alive(self, request: Request) -> Response:
        """Says that the process answers."""
        NO_PARAMETERS.read(request.scope["query_string"])
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def ready(self, request: Request) -> Response:
        """Says whether jobs are taken: at least one shard takes writes, and the manager is not about to end."""
        NO_PARAMETERS.read(request.scope["query_string"])
        if self._link.closing.is_set():
            raise Problem(STOPPING, "ask another manager", headers=_RETRY)
        writable, total = await self._link.service.overview.ready()
        if writable == 0:
            raise Problem(UNAVAILABLE, "no shard of the queue takes writes", headers=_RETRY)
        answer: dict[str, object] = {"status": "ready", "shards": {"total": total, "away": total - writable}}
        if self._steward is not None and self._steward.state is not None:
            answer["cluster"] = self._steward.state
        return Response(orjson.dumps(answer), media_type="application/json")

    async def show_metrics(self, request: Request) -> Response:
        """Shows Prometheus metrics, of the queue as far as Redis answers."""
        NO_PARAMETERS.read(request.scope["query_string"])
        counts, workers, away = None, 0, 0
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                overview = self._link.service.overview
                (counts, away), listed = await asyncio.gather(overview.counts(), overview.workers())
                workers = len(listed)
        except (ShardUnavailable, TimeoutError):
            # What this manager counts by itself is shown all the same.
            counts = None
        cluster = self._steward.state if self._steward is not None else None
        return Response(self._metrics.render(counts, workers, away, cluster), media_type=CONTENT_TYPE_LATEST)
