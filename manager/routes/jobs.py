"""`/jobs`: submit one, look at one or many, change one's fate."""

import asyncio
import re
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import find_shard, read_statuses, view_jobs
from jobqueue.inspection.listing import LISTABLE_STATUSES, list_jobs
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.model import JobView, Status
from jobqueue.sharding.shard import Shard
from manager.http.asgi import Disconnected, disconnect_watch, read_body, require_media_type
from manager.http.problems import NO_SUCH_JOB, WRONG_STATUS, Problem
from manager.http.query_parameters import NO_PARAMETERS, Choice, Integer, Number, Query, Text, merged
from manager.metrics import Metrics
from manager.queue.service import QueueConnection
from manager.queue.submitter import PendingJob
from manager.schemas.job_factory import JobFactory
from manager.schemas.openapi import JOB_ID, problem_responses, request_body, schema_reference
from manager.schemas.responses import JobList, JobResponse, JobStatus, job_document, problem_for

MAX_WAIT_SECONDS = 55
STOP_WAIT_SECONDS = 3.0
"""How long a cancellation waits for the worker to end the job."""

WAIT_QUERY = Query(Number("wait", "Seconds to wait until the job has ended", 0, MAX_WAIT_SECONDS, default=0))
LIST_QUERY = Query(
    Choice("status", "Only jobs with this status", tuple(LISTABLE_STATUSES)),
    Text("queue", "Only jobs of this queue", r"[^\x00-\x1f\x7f]{1,256}"),
    Integer("limit", "At most so many jobs", 1, 1000, default=100),
    Text("cursor", "Where the page before ended", "[A-Za-z0-9_-]{1,1024}"),
)

# Ids of stock RQ clients may be longer than ours.
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)


class JobRoutes:
    """The handlers.

    Args:
        link: the queue.
        reader: of submissions.
        functions: for the names of the functions that jobs call.
        metrics: counts what is taken in.
    """

    def __init__(
        self, link: QueueConnection, reader: JobFactory, functions: FunctionRegistry, metrics: Metrics
    ) -> None:
        self._link = link
        self._reader = reader
        self._functions = functions
        self._metrics = metrics

    def router(self) -> APIRouter:
        """The routes of these handlers."""
        router = APIRouter(tags=["jobs"])
        router.add_api_route(
            "/jobs",
            self.submit,
            methods=["POST"],
            status_code=201,
            response_model=JobStatus,
            responses={
                200: {"description": "Was submitted before, with the same content", "model": JobStatus},
                **problem_responses(400, 409, 413, 415, 422, 503),
            },
            openapi_extra={"requestBody": request_body("application/json", schema_reference("Submission"))},
        )
        router.add_api_route(
            "/jobs",
            self.list,
            methods=["GET"],
            response_model=JobList,
            responses=problem_responses(400, 503),
            openapi_extra={"parameters": LIST_QUERY.openapi()},
        )
        router.add_api_route(
            "/jobs/{job_id}",
            self.show,
            methods=["GET"],
            response_model=JobResponse,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": merged([JOB_ID], WAIT_QUERY.openapi())},
        )
        router.add_api_route(
            "/jobs/{job_id}/cancel",
            self.cancel,
            methods=["POST"],
            response_model=JobStatus,
            responses={
                202: {"description": "Its worker was told to end it, and has not yet", "model": JobStatus},
                **problem_responses(400, 404, 409, 503),
            },
            openapi_extra={"parameters": [JOB_ID]},
        )
        router.add_api_route(
            "/jobs/{job_id}/requeue",
            self.requeue,
            methods=["POST"],
            response_model=JobStatus,
            responses=problem_responses(400, 404, 409, 503),
            openapi_extra={"parameters": [JOB_ID]},
        )
        router.add_api_route(
            "/jobs/{job_id}",
            self.delete,
            methods=["DELETE"],
            status_code=204,
            response_class=Response,
            responses=problem_responses(400, 404, 409, 503),
            openapi_extra={"parameters": [JOB_ID]},
        )
        return router

    async def submit(self, request: Request) -> Response:
        """Puts a job in."""
        NO_PARAMETERS.read(request.scope["query_string"])
        require_media_type(request.scope, ("application/json",))
        submission = self._reader.parse(await read_body(request.scope, request.receive, self._reader.max_body_bytes))
        service = self._link.service
        unique_key = None if submission.unique is None else submission.unique.key
        job = self._reader.create_job(submission, submission.id or service.submitter.new_id(unique_key))
        taken = await service.submitter.submit(
            PendingJob(job, can_change_shard=submission.id is None and unique_key is None)
        )
        problem = problem_for(taken)
        if problem is not None:
            raise problem
        status: str | None = Status.QUEUED if job.due_at is None else Status.SCHEDULED
        code = 201
        if taken.answer is EnqueueOutcome.REPEATED and submission.id is not None:
            code = 200
            (now,) = await read_statuses(service.shards.of(taken.job_id), [taken.job_id])
            status = now or status
        self._metrics.jobs_submitted += taken.answer is EnqueueOutcome.WRITTEN
        location = {"Location": f"/jobs/{taken.job_id}"}
        return _json({"id": taken.job_id, "status": status}, code, location)

    async def list(self, request: Request) -> Response:
        """Lists jobs: queued ones in their order, ended ones the latest first."""
        query = LIST_QUERY.read(request.scope["query_string"])
        page = await list_jobs(
            self._link.service.shards,
            self._functions,
            status=None if query["status"] is None else Status(query["status"]),
            queue=query["queue"],
            limit=query["limit"],
            cursor=query["cursor"],
        )
        return _json({"jobs": [job_document(job) for job in page.jobs], "cursor": page.cursor})

    async def show(self, request: Request) -> Response:
        """Shows a job; with `wait` when it has ended or the time is over."""
        query = WAIT_QUERY.read(request.scope["query_string"])
        job_id = _job_id(request)
        shard = await self._find(job_id)
        job = await self._view(shard, job_id)
        if query["wait"] and not Status(job.status).ended:
            async with disconnect_watch(request.receive) as gone:
                await self._wait(shard, job_id, query["wait"], gone)
                if gone.done():
                    raise Disconnected
            job = await self._view(shard, job_id)
        return _json(job_document(job))

    async def cancel(self, request: Request) -> Response:
        """Takes a waiting job out, or has a running one killed."""
        NO_PARAMETERS.read(request.scope["query_string"])
        job_id = _job_id(request)
        cancelled = await self._link.service.operations.cancel(job_id)
        match cancelled.outcome:
            case "missing":
                raise _no_such_job(job_id)
            case "ended":
                raise _wrong_status(job_id, cancelled.status, "cannot be cancelled")
            case "canceled":
                return _json({"id": job_id, "status": Status.CANCELED})
        shard = await self._find(job_id)
        await self._wait(shard, job_id, STOP_WAIT_SECONDS, None)
        (status,) = await read_statuses(shard, [job_id])
        if status in (Status.FINISHED, Status.FAILED):
            raise _wrong_status(job_id, status, "ended before it could be stopped")
        stopped = status in (Status.STOPPED, Status.CANCELED)
        return _json({"id": job_id, "status": status or Status.STOPPED}, 200 if stopped else 202)

    async def requeue(self, request: Request) -> Response:
        """Runs a job that failed, was stopped or was cancelled again; one that is queued already stays so."""
        NO_PARAMETERS.read(request.scope["query_string"])
        job_id = _job_id(request)
        outcome = await self._link.service.operations.requeue(job_id)
        if outcome == "missing":
            raise _no_such_job(job_id)
        if outcome != "queued":
            raise _wrong_status(job_id, outcome, "cannot be requeued")
        return _json({"id": job_id, "status": Status.QUEUED})

    async def delete(self, request: Request) -> Response:
        """Deletes a job and all that is kept about it."""
        NO_PARAMETERS.read(request.scope["query_string"])
        job_id = _job_id(request)
        outcome = await self._link.service.operations.delete(job_id)
        if outcome == "missing":
            raise _no_such_job(job_id)
        if outcome == "started":
            raise _wrong_status(job_id, outcome, "cannot be deleted: cancel it first")
        return Response(status_code=204)

    async def _find(self, job_id: str) -> Shard:
        shard = await find_shard(self._link.service.shards, job_id)
        if shard is None:
            raise _no_such_job(job_id)
        return shard

    async def _view(self, shard: Shard, job_id: str) -> JobView:
        (job,) = await view_jobs(shard, [job_id], self._functions)
        if job is None:
            raise _no_such_job(job_id)
        return job

    async def _wait(self, shard: Shard, job_id: str, seconds: float, gone: "asyncio.Task[None] | None") -> None:
        closing = asyncio.create_task(self._link.closing.wait())
        try:
            with self._link.service.status_poller.when_ended(shard, job_id) as end:
                ends: set[asyncio.Future[Any]] = {end, closing} if gone is None else {end, closing, gone}
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()


def _job_id(request: Request) -> str:
    job_id = str(request.path_params["job_id"])
    if not _JOB_ID.fullmatch(job_id):
        raise _no_such_job(job_id)
    return job_id


def _no_such_job(job_id: str) -> Problem:
    return Problem(NO_SUCH_JOB, f"no job has the id {job_id[:80]!r}")


def _wrong_status(job_id: str, status: str | None, what: str) -> Problem:
    return Problem(WRONG_STATUS, f"the job is {status}: it {what}", id=job_id)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value), status, headers, "application/json")
