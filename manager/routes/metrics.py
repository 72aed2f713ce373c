"""`/metrics`: what this manager does and sees, and on one manager the state of the whole queue."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from jobqueue.errors import ShardUnavailable
from jobqueue.inspection.counters import ShardCounts
from manager.api_keys.caller import Caller
from manager.cluster.reconciler import ClusterReconciler
from manager.http.authentication import caller_of
from manager.http.problems import UNAVAILABLE, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.metrics.counted import Counted
from manager.metrics.exposition import Exposition
from manager.metrics.queue import show_queue, show_queues
from manager.metrics.requests import Metrics
from manager.metrics.totals import QueueTotals
from manager.metrics.view import RedisView, show_cluster, show_redis
from manager.queue.connection import QueueConnection
from manager.reporter import Reporter
from manager.schemas.openapi import problem_responses
from manager.siblings.channel import NoAnswer
from manager.siblings.group import ProcessGroup

SCRAPE_TIMEOUT_SECONDS = 2.0
OPEN_METRICS = "application/openmetrics-text"


@dataclass(frozen=True, slots=True)
class _Queue:
    """What is read of the whole queue."""

    counts: ShardCounts
    shards: int
    unavailable: int
    workers: int
    unserved: Collection[str]


class MetricsRoute:
    """Handler of the route.

    Args:
        reporter: knows whether this manager tells of the whole queue.
        group: this manager's processes. The main one tells for all, whichever is asked.
    """

    def __init__(
        self,
        queue: QueueConnection,
        metrics: Metrics,
        reconciler: ClusterReconciler | None,
        reporter: Reporter,
        group: ProcessGroup,
    ) -> None:
        self._queue = queue
        self._metrics = metrics
        self._reconciler = reconciler
        self._reporter = reporter
        self._group = group
        self._totals = QueueTotals()
        if group.is_sibling:
            group.answerers["counted"] = self._counted_for_main
        else:
            group.answerers["metrics"] = self._text_for_sibling

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["manager"])
        text = {"schema": {"type": "string"}}
        router.add_api_route(
            "/metrics",
            self.show,
            response_class=Response,
            responses={
                200: {
                    "description": "Metrics in Prometheus' text format, or as OpenMetrics if the client accepts that",
                    "content": {"text/plain": text, OPEN_METRICS: text},
                },
                **problem_responses(400, 503),
            },
        )
        return router

    async def show(self, request: Request) -> Response:
        """Show the metrics of this manager. One of the managers adds those of the whole queue, if Redis answers."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        caller = caller_of(request.scope)
        shown = Exposition(open_metrics=OPEN_METRICS in request.headers.get("accept", ""))
        if caller.is_bound:
            await self._show_queues_of(caller, shown)
        elif self._group.is_sibling:
            return Response(await self._text_of_main(shown.open_metrics), media_type=shown.content_type)
        else:
            await self._show_all(shown)
        return Response(shown.text(), media_type=shown.content_type)

    async def _text_of_main(self, open_metrics: bool) -> str:
        try:
            text: str = await self._group.ask_main("metrics", open_metrics)
        except NoAnswer as error:
            raise Problem(UNAVAILABLE, f"the main process of this manager does not answer: {error}") from error
        return text

    async def _text_for_sibling(self, open_metrics: bool) -> str:
        shown = Exposition(open_metrics=open_metrics)
        await self._show_all(shown)
        return shown.text().decode()

    async def _counted_for_main(self, _: object) -> dict[str, Any]:
        return self._counted().as_json()

    def _counted(self) -> Counted:
        counted, trips = self._metrics.counted(), self._queue.round_trips
        counted.process = self._metrics.process_samples()
        counted.numbers |= {
            "workmanager_redis_round_trips": trips.answered,
            "workmanager_redis_round_trip_seconds": trips.seconds,
            "workmanager_redis_round_trips_failed": trips.failed,
            "workmanager_changes_read": self._queue.changes_read,
        }
        return counted

    async def _show_all(self, shown: Exposition) -> None:
        tells = await self._reporter.decided()
        queue, up, unavailable, moving = None, False, 0, 0
        try:
            async with asyncio.timeout(SCRAPE_TIMEOUT_SECONDS):
                moving = len(self._queue.service.shards.moving)
                if tells:
                    queue = await self._read()
                    up, unavailable = True, queue.unavailable
                else:
                    ready = await self._queue.service.overview.ready()
                    up, unavailable = ready.writable > 0, ready.total - ready.writable
        except (ShardUnavailable, TimeoutError):
            pass  # Show at least this manager's own metrics.
        counted = await self._group.counted_by_others()
        counted.add(self._counted())
        if queue is not None:
            for _ in self._totals.prepare(open_metrics=shown.open_metrics):
                await asyncio.sleep(0)  # other requests do not wait for thousands of lines
        watcher = self._queue if self._reconciler is None else self._reconciler
        view = RedisView(up, unavailable, len(self._queue.refused_servers), len(watcher.unsound_files), moving)
        self._metrics.show(shown, counted)
        show_redis(shown, view, tells_queue=tells)
        if self._reconciler is not None and self._reconciler.state is not None:
            show_cluster(shown, self._reconciler.state)
        if queue is not None:
            show_queue(shown, queue.counts, queue.workers, queue.unserved)
            self._totals.show(shown, queue.shards)

    async def _read(self) -> _Queue:
        service = self._queue.service
        by_shard, workers, times = await asyncio.gather(
            service.overview.counts_by_shard(), service.overview.workers(), service.overview.times_by_shard()
        )
        self._totals.update(by_shard, times)
        counts, shards = sum(by_shard.values(), ShardCounts()), len(service.shards)
        unserved = await service.monitor.lately_unserved({*counts.queues, *counts.paused})
        return _Queue(counts, shards, shards - len(by_shard), len(workers), unserved)

    async def _show_queues_of(self, caller: Caller, shown: Exposition) -> None:
        """Show the queues that a key is bound to, on every manager. 503 if Redis does not answer: there is no more."""
        service = self._queue.service
        counts = (await service.overview.counts())[0].only(caller.sees)
        show_queues(shown, counts, await service.monitor.lately_unserved({*counts.queues, *counts.paused}))
