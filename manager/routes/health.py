"""`/healthz`, `/readyz` and `/metrics`: liveness, readiness and Prometheus metrics of this manager."""

import asyncio
from collections.abc import Collection, Mapping

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from jobqueue.errors import ShardUnavailable
from manager.api_keys.caller import Caller
from manager.cluster.reconciler import ClusterReconciler
from manager.http.authentication import caller_of
from manager.http.json_response import json_response
from manager.http.problems import SHUTTING_DOWN, UNAVAILABLE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.metrics import Metrics, RedisTroubles
from manager.queue.connection import QueueConnection
from manager.schedules.zones import rules_version
from manager.schemas.openapi import problem_responses
from manager.schemas.responses import Liveness, Readiness

SCRAPE_TIMEOUT_SECONDS = 2.0
_RETRY = {"Retry-After": "1"}


class HealthRoutes:
    """Handlers of the routes about this manager."""

    def __init__(self, queue: QueueConnection, metrics: Metrics, reconciler: ClusterReconciler | None) -> None:
        self._queue = queue
        self._metrics = metrics
        self._reconciler = reconciler

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["manager"])
        router.add_api_route("/healthz", self.liveness, response_model=Liveness, responses=problem_responses(400))
        router.add_api_route("/readyz", self.readiness, response_model=Readiness, responses=problem_responses(400, 503))
        router.add_api_route(
            "/metrics",
            self.show_metrics,
            response_class=Response,
            responses={
                200: {
                    "description": "Metrics in Prometheus' text format",
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                **problem_responses(400, 503),
            },
        )
        return router

    async def liveness(self, request: Request) -> Response:
        """Tell that the process is running."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        return Response(b'{"status":"alive"}', media_type="application/json")

    async def readiness(self, request: Request) -> Response:
        """Tell whether jobs are accepted: at least one shard accepts writes and the manager is not shutting down."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        if self._queue.closing.is_set():
            raise Problem(SHUTTING_DOWN, "this manager is shutting down: use another one", headers=_RETRY)
        refused, unsound = self._queue.refused_servers, self._unsound_files()
        reasons = "".join(f"; Redis at {server} is refused: {reason}" for server, reason in refused.items())
        reasons += "".join(f"; append-only file of Redis at {server}: {reason}" for server, reason in unsound.items())
        try:
            writable, total = await self._queue.service.overview.ready()
        except ShardUnavailable as error:
            if not reasons:
                raise
            raise Problem(UNAVAILABLE, f"the queue is unavailable at the moment{reasons}", headers=_RETRY) from error
        if writable == 0:
            raise Problem(UNAVAILABLE, f"no shard of the queue accepts writes{reasons}", headers=_RETRY)
        shards = {"total": total, "unavailable": total - writable}
        answer: dict[str, object] = {"status": "ready", "shards": shards, "time_zone_rules": rules_version()}
        if moving := self._queue.service.shards.moving:
            answer["moving_shards"] = moving
        if refused:
            answer["refused_servers"] = refused
        if unsound:
            answer["unsound_files"] = unsound
        if self._reconciler is not None and self._reconciler.state is not None:
            answer["cluster"] = self._reconciler.state
        return json_response(answer)

    async def show_metrics(self, request: Request) -> Response:
        """Show the metrics of this manager and, if Redis answers, of the queue."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        caller = caller_of(request.scope)
        if caller.is_bound:
            return await self._show_metrics_of(caller)
        counts, workers, unavailable, moving = None, 0, 0, 0
        unserved: Collection[str] = ()
        try:
            async with asyncio.timeout(SCRAPE_TIMEOUT_SECONDS):
                overview = self._queue.service.overview
                moving = len(self._queue.service.shards.moving)
                (counts, unavailable), listed = await asyncio.gather(overview.counts(), overview.workers())
                workers = len(listed)
                unserved = await self._queue.service.monitor.unserved({*counts.queues, *counts.paused})
        except (ShardUnavailable, TimeoutError):
            # Show at least this manager's own metrics.
            counts = None
        cluster = self._reconciler.state if self._reconciler is not None else None
        troubles = RedisTroubles(len(self._queue.refused_servers), len(self._unsound_files()), moving)
        shown = self._metrics.render(counts, workers, unavailable, cluster, troubles, unserved)
        return Response(shown, media_type=CONTENT_TYPE_LATEST)

    async def _show_metrics_of(self, caller: Caller) -> Response:
        """Show the metrics of the queues that a key is bound to. 503 if Redis does not answer: there are no others."""
        service = self._queue.service
        counts = (await service.overview.counts())[0].only(caller.sees)
        unserved = await service.monitor.unserved({*counts.queues, *counts.paused})
        return Response(self._metrics.render_queues(counts, unserved), media_type=CONTENT_TYPE_LATEST)

    def _unsound_files(self) -> Mapping[str, str]:
        watcher = self._queue if self._reconciler is None else self._reconciler
        return watcher.unsound_files
