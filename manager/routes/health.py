"""The manager itself: `/healthz`, `/readyz`, `/metrics`."""

import asyncio

import orjson
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from jobqueue.errors import ShardUnavailable
from manager.cluster.reconciler import ClusterReconciler
from manager.http.problems import SHUTTING_DOWN, UNAVAILABLE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.metrics import Metrics
from manager.queue.service import QueueConnection
from manager.schemas.openapi import problem_responses
from manager.schemas.responses import Liveness, Readiness

SCRAPE_TIMEOUT_SECONDS = 2.0
_RETRY = {"Retry-After": "1"}


class HealthRoutes:
    """The handlers."""

    def __init__(self, link: QueueConnection, metrics: Metrics, steward: ClusterReconciler | None) -> None:
        self._link = link
        self._metrics = metrics
        self._steward = steward

    def router(self) -> APIRouter:
        """The routes of these handlers."""
        router = APIRouter(tags=["manager"])
        router.add_api_route("/healthz", self.liveness, response_model=Liveness, responses=problem_responses(400))
        router.add_api_route("/readyz", self.readiness, response_model=Readiness, responses=problem_responses(400, 503))
        router.add_api_route(
            "/metrics",
            self.show_metrics,
            response_class=Response,
            responses={
                200: {"description": "For Prometheus", "content": {"text/plain": {"schema": {"type": "string"}}}},
                **problem_responses(400),
            },
        )
        return router

    async def liveness(self, request: Request) -> Response:
        """Says that the process answers."""
        NO_PARAMETERS.read(request.scope["query_string"])
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def readiness(self, request: Request) -> Response:
        """Says whether jobs are taken: at least one shard takes writes, and the manager is not about to end."""
        NO_PARAMETERS.read(request.scope["query_string"])
        if self._link.closing.is_set():
            raise Problem(SHUTTING_DOWN, "ask another manager", headers=_RETRY)
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
            async with asyncio.timeout(SCRAPE_TIMEOUT_SECONDS):
                overview = self._link.service.overview
                (counts, away), listed = await asyncio.gather(overview.counts(), overview.workers())
                workers = len(listed)
        except (ShardUnavailable, TimeoutError):
            # What this manager counts by itself is shown all the same.
            counts = None
        cluster = self._steward.state if self._steward is not None else None
        return Response(self._metrics.render(counts, workers, away, cluster), media_type=CONTENT_TYPE_LATEST)
