"""`/status` and `/workers`: a summary of the whole system, and its workers."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from jobqueue.functions import FunctionRegistry
from jobqueue.model import ALL_QUEUES
from jobqueue.workers.registry import WorkerView
from manager.api_keys.caller import Caller
from manager.http.authentication import caller_of
from manager.http.json_response import json_response
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.schemas.documents import queue_documents, unfinished, workers_document
from manager.schemas.openapi import problem_responses
from manager.schemas.responses import StatusResponse, WorkerList


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
        caller = caller_of(request.scope)
        if caller.is_bound:
            counts = counts.only(caller.sees)
            workers = [worker for worker in workers if _works_for(worker, caller)]
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
                    *(_problem_of_move(*move) for move in service.shards.moving.items()),
                    *(() if caller.is_bound else self._problems(workers)),
                    *_problems_of_queues(queues.values(), unserved),
                ],
            }
        )

    def _problems(self, workers: Iterable[WorkerView]) -> list[str]:
        problems = [f"managers refuse jobs of a module: {reason}" for reason in self._functions.why_not_registered()]
        workers_by_problem: dict[str, list[str]] = defaultdict(list)
        for worker in workers:
            for problem in worker.problems:
                workers_by_problem[problem].append(worker.name)
        for problem, names in sorted(workers_by_problem.items()):
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            problems.append(f"jobs of a module fail on worker {names[0]}{others}: {problem}")
        return problems


def _works_for(worker: WorkerView, caller: Caller) -> bool:
    """Return whether the worker serves a queue that the caller sees."""
    return any(queue in ALL_QUEUES or caller.sees(queue) for queue in worker.queues)


def _problem_of_move(shard: str, seconds: float) -> str:
    return f"shard {shard} is being moved to another Redis server, {seconds:.0f} s so far: its jobs wait until then"


def _problems_of_queues(queues: Iterable[Mapping[str, Any]], unserved: Mapping[str, str]) -> list[str]:
    problems = []
    jobs_by_cause = Counter[str]()
    for queue in queues:
        if queue["queued"] and queue["name"] in unserved:
            jobs_by_cause[unserved[queue["name"]]] += queue["queued"]
        if queue["queued"] and queue["paused"]:
            problems.append(f"{queue['queued']} jobs wait: queue {queue['name']!r} is paused")
    problems += (f"{jobs} jobs wait: {cause}" for cause, jobs in jobs_by_cause.items())
    return problems
