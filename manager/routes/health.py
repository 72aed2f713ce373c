"""`/healthz` and `/readyz`: liveness and readiness of this manager."""

from fastapi import APIRouter, Request, Response

from jobqueue.errors import ShardUnavailable
from manager.http.json_response import json_response
from manager.http.problems import SHUTTING_DOWN, UNAVAILABLE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.queue.watched_servers import SeenServers, WatchedServers
from manager.schedules.zones import rules_version
from manager.schemas.openapi import problem_responses
from manager.schemas.responses import Liveness, Readiness
from manager.siblings.channel import NoAnswer

_RETRY = {"Retry-After": "1"}
MAX_TOLD = 3
"""Reasons why shards accept no writes: those of a large cluster are alike."""


class HealthRoutes:
    """Handlers of the routes about this manager."""

    def __init__(self, queue: QueueConnection, servers: WatchedServers) -> None:
        self._queue = queue
        self._servers = servers

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["manager"])
        router.add_api_route("/healthz", self.liveness, response_model=Liveness, responses=problem_responses(400))
        router.add_api_route("/readyz", self.readiness, response_model=Readiness, responses=problem_responses(400, 503))
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
        refused, seen = self._queue.refused_servers, await self._seen()
        unsound = seen.unsound_files
        reasons = "".join(f"; Redis at {server} is refused: {reason}" for server, reason in refused.items())
        reasons += "".join(f"; append-only file of Redis at {server}: {reason}" for server, reason in unsound.items())
        try:
            ready = await self._queue.service.overview.ready()
        except ShardUnavailable as error:
            if not reasons:
                raise
            raise Problem(UNAVAILABLE, f"the queue is unavailable at the moment{reasons}", headers=_RETRY) from error
        if ready.writable == 0:
            reasons = "".join(f"; {reason}" for reason in ready.reasons[:MAX_TOLD]) + reasons
            raise Problem(UNAVAILABLE, f"no shard of the queue accepts writes{reasons}", headers=_RETRY)
        shards = {"total": ready.total, "unavailable": ready.total - ready.writable}
        answer: dict[str, object] = {"status": "ready", "shards": shards, "time_zone_rules": rules_version()}
        if moving := self._queue.service.shards.moving:
            answer["moving_shards"] = moving
        if refused:
            answer["refused_servers"] = refused
        if unsound:
            answer["unsound_files"] = unsound
        if seen.cluster is not None:
            answer["cluster"] = seen.cluster
        return json_response(answer)

    async def _seen(self) -> SeenServers:
        try:
            return await self._servers.seen()
        except NoAnswer as error:
            reason = f"the main process of this manager does not answer: {error}"
            raise Problem(UNAVAILABLE, reason, headers=_RETRY) from error
