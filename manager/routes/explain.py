"""`GET /jobs/{id}/explain`: why a job does not run."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from jobqueue.errors import ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.sharding.find_shard import find_shard
from manager.api_keys.caller import Caller
from manager.explain.explanation import Explanation, explain, shard_unavailable
from manager.explain.reading import FactReader, Known
from manager.http.authentication import caller_of
from manager.http.json_response import json_response
from manager.http.query_parameters import NO_PARAMETERS
from manager.queue.connection import QueueConnection
from manager.routes.jobs import job_id_of, no_such_job
from manager.schemas.explain import JobExplanation
from manager.schemas.openapi import JOB_ID, problem_responses
from scaler.policy import Limits


class ExplainRoute:
    """The handler of `GET /jobs/{id}/explain`.

    Args:
        functions: gives the public names of the functions that jobs call.
        hide_arguments_of: patterns of functions whose texts of exceptions are not shown.
        limits: of the scaler, unless an operator has set others.
    """

    def __init__(
        self, queue: QueueConnection, functions: FunctionRegistry, hide_arguments_of: Sequence[str], limits: Limits
    ) -> None:
        self._queue = queue
        self._functions = functions
        self._hide_arguments_of = hide_arguments_of
        self._limits = limits

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["jobs"])
        router.add_api_route(
            "/jobs/{job_id}/explain",
            self.explain,
            response_model=JobExplanation,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [JOB_ID]},
        )
        return router

    async def explain(self, request: Request) -> Response:
        """Say why a job does not run; for one that runs or has ended, where or how."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        return json_response(await self.document(request))

    async def document(self, request: Request, known: Known | None = None) -> dict[str, Any]:
        """Return the answer.

        Args:
            known: what need not be read for it.
        """
        job_id = job_id_of(request)
        # 503 only if no Redis server has been reached yet: that a shard is away is an answer.
        shards = self._queue.service.shards
        try:
            status, explanation = await self._explain(job_id, caller_of(request.scope), known)
        except ShardUnavailable as error:
            moving = shards.moving.get(shards.of(job_id).prefix)
            detail = str(error) if moving is None else f"the shard is being moved to another server, {moving} s so far"
            status, explanation = None, shard_unavailable(detail)
        head = {"id": job_id, "status": status, "reason": explanation.reason, "sentence": explanation.sentence}
        return {**head, **explanation.numbers}

    async def _explain(self, job_id: str, caller: Caller, known: Known | None) -> tuple[str, Explanation]:
        service = self._queue.service
        shard = await find_shard(service.shards, job_id)
        if shard is None:
            raise no_such_job(job_id)
        (job,) = await view_jobs(shard, [job_id], self._functions, hide_arguments_of=self._hide_arguments_of)
        if job is None or not caller.sees(job.queue):
            raise no_such_job(job_id)
        reader = FactReader(
            *(service, self._functions, self._limits),
            sees=caller.sees,
            shows_scaler=not caller.is_bound,
            known=known,
        )
        return job.status, explain(await reader.read(shard, job))
