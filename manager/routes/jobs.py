"""`/jobs`: show, list, cancel, requeue and delete jobs."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.attempt_errors import AttemptError, read_attempt_errors
from jobqueue.inspection.job_states import read_queues, read_statuses
from jobqueue.inspection.job_views import view_jobs
from jobqueue.inspection.labeled import LabeledPage, labeled_jobs
from jobqueue.inspection.listing import LISTABLE_STATUSES, JobPage, list_jobs
from jobqueue.job_view import JobView
from jobqueue.lifecycle.notes import read_log
from jobqueue.model import FailureReason, Status, is_over
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from manager.api_keys.caller import Caller
from manager.api_keys.table import KeyTable
from manager.http.asgi import disconnect_watch
from manager.http.authentication import caller_of, check_again
from manager.http.json_response import json_response
from manager.http.problems import NO_SUCH_JOB, WRONG_STATUS, Problem
from manager.http.query_parameters import NO_PARAMETERS, Choice, Integer, Number, Query, Text
from manager.queue.connection import QueueConnection
from manager.queue.long_poll import ANSWER_SECONDS, MAX_WAIT_SECONDS
from manager.schemas.documents import job_details_document, job_document, log_document
from manager.schemas.openapi import JOB_ID, problem_responses
from manager.schemas.responses import JobDetails, JobList, JobLog, JobStatus
from manager.schemas.submission import LABEL_NAME_PATTERN, LABEL_VALUE_PATTERN

STOP_WAIT_SECONDS = 3.0
"""How long a cancellation waits for the worker to stop the job."""

WAIT_QUERY = Query(
    Number(
        "wait",
        f"Seconds to wait for the job to end; the answer comes after {ANSWER_SECONDS} at the latest",
        0,
        MAX_WAIT_SECONDS,
        default=0,
    )
)
LOG_QUERY = Query(
    Text("after", "Id of a line: only those that follow it", r"[0-9]{1,16}-[0-9]{1,16}"),
    Integer("limit", "Maximum number of lines", 1, 1000, default=1000),
)
LIST_QUERY = Query(
    Choice("status", "Only jobs with this status", tuple(LISTABLE_STATUSES)),
    Text("queue", "Only jobs of this queue", r"[^\x00-\x1f\x7f]{1,256}"),
    Text(
        "label",
        "Only jobs with this label, `NAME:VALUE`: the ones that were submitted last come first",
        f"{LABEL_NAME_PATTERN}:{LABEL_VALUE_PATTERN}",
    ),
    Integer("limit", "Maximum number of jobs", 1, 1000, default=100),
    Text("cursor", "The `cursor` of the page before", "[A-Za-z0-9_-]{1,1024}"),
)

# Ids of plain RQ clients can be longer than ours.
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)


class JobRoutes:
    """Handlers of the jobs' routes.

    Args:
        functions: gives the public names of the functions that jobs call.
        hide_arguments_of: patterns of functions whose arguments, and texts of exceptions, are not shown.
        key_table: tells whether the key of a request that waits is still valid.
    """

    def __init__(
        self,
        queue: QueueConnection,
        functions: FunctionRegistry,
        hide_arguments_of: Sequence[str],
        key_table: KeyTable,
    ) -> None:
        self._queue = queue
        self._functions = functions
        self._hide_arguments_of = hide_arguments_of
        self._key_table = key_table

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["jobs"])
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
            response_model=JobDetails,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [JOB_ID, *WAIT_QUERY.openapi()]},
        )
        router.add_api_route(
            "/jobs/{job_id}/logs",
            self.logs,
            methods=["GET"],
            response_model=JobLog,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [JOB_ID, *LOG_QUERY.openapi()]},
        )
        router.add_api_route(
            "/jobs/{job_id}/cancel",
            self.cancel,
            methods=["POST"],
            response_model=JobStatus,
            responses={
                202: {
                    "description": "The job's worker was told to stop it and has not confirmed yet",
                    "model": JobStatus,
                },
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

    async def list(self, request: Request) -> Response:
        """List jobs: queued ones in queue order, ended ones latest first; those with a label latest first."""
        query = LIST_QUERY.parse(request.scope["query_string"])
        caller = caller_of(request.scope)
        shards = self._queue.service.shards
        filters: dict[str, Any] = {
            "status": None if query["status"] is None else Status(query["status"]),
            "queue": query["queue"],
            "limit": query["limit"],
            "cursor": query["cursor"],
            "hide_arguments_of": self._hide_arguments_of,
            "shows": caller.sees if caller.is_bound else None,
        }
        page: JobPage | LabeledPage
        if query["label"] is None:
            page = await list_jobs(shards, self._functions, **filters)
        else:
            page = await labeled_jobs(shards, self._functions, query["label"], **filters)
        answer: dict[str, Any] = {"jobs": [job_document(job) for job in page.jobs], "cursor": page.cursor}
        if isinstance(page, LabeledPage) and page.incomplete is not None:
            answer["incomplete"] = page.incomplete
        return json_response(answer)

    async def show(self, request: Request) -> Response:
        """Show a job; with `wait`, as soon as it has ended or the time is over."""
        query = WAIT_QUERY.parse(request.scope["query_string"])
        job_id = job_id_of(request)
        shard = await self._find(job_id)
        job = await self._view(shard, job_id, caller_of(request.scope))
        if query["wait"] and not Status(job.status).ended:
            async with disconnect_watch(request.receive) as disconnect:
                await self._wait(shard, job_id, min(query["wait"], ANSWER_SECONDS), disconnect)
            check_again(self._key_table, request.scope)
            # The id may be that of another job by now.
            job = await self._view(shard, job_id, caller_of(request.scope))
        return json_response(job_details_document(job, await read_attempt_errors(shard, job)))

    async def read(self, request: Request) -> tuple[JobView, Sequence[AttemptError]]:
        """Return the job of the path as the caller sees it, with the errors of its attempts.

        Raises:
            Problem: 404.
        """
        job_id = job_id_of(request)
        shard = await self._find(job_id)
        job = await self._view(shard, job_id, caller_of(request.scope))
        return job, await read_attempt_errors(shard, job)

    async def logs(self, request: Request) -> Response:
        """Show what a job has logged (`workmanager.job.log`), from the first line that is kept, or after a line."""
        query = LOG_QUERY.parse(request.scope["query_string"])
        job_id, _ = await self._visible_job(request)
        shard = await self._find(job_id)
        # First the status: if the job has ended by then, no line follows those that are read.
        (status,) = await read_statuses(shard, [job_id])
        page = await read_log(shard, job_id, query["after"] or "", query["limit"])
        return json_response(log_document(page, query["after"], is_over(status or "")))

    async def cancel(self, request: Request) -> Response:
        """Remove a waiting job from its queue, or have a running one stopped."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        job_id, queue = await self._visible_job(request)
        canceled = await self._queue.service.operations.cancel(job_id, queue)
        match canceled.outcome:
            case "missing":
                raise no_such_job(job_id)
            case "ended":
                raise _wrong_status(job_id, canceled.status, "cannot be canceled")
            case "canceled":
                return json_response({"id": job_id, "status": Status.CANCELED})
        shard = await self._find(job_id)
        await self._wait(shard, job_id, STOP_WAIT_SECONDS, None)
        (status,) = await read_statuses(shard, [job_id])
        if status is None:
            raise no_such_job(job_id)  # It has ended meanwhile, and its record is not kept.
        if status in (Status.FINISHED, Status.FAILED):
            raise _wrong_status(job_id, status, "ended before it could be stopped")
        stopped = status in (Status.STOPPED, Status.CANCELED)
        return json_response({"id": job_id, "status": status}, 200 if stopped else 202)

    async def requeue(self, request: Request) -> Response:
        """Queue a failed, stopped or canceled job again; a job that is queued already stays queued."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        job_id, queue = await self._visible_job(request)
        outcome = await self._queue.service.operations.requeue(job_id, queue)
        if outcome == "missing":
            raise no_such_job(job_id)
        if outcome == FailureReason.DEPENDENCY_FAILED:
            reason = "was canceled because a job that it waits for did not finish: requeue that one, and it returns"
            raise _wrong_status(job_id, Status.CANCELED, reason)
        if outcome not in (Status.QUEUED, Status.DEFERRED):
            raise _wrong_status(job_id, outcome, "cannot be requeued")
        return json_response({"id": job_id, "status": outcome})

    async def delete(self, request: Request) -> Response:
        """Delete a job and everything stored about it."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        job_id, queue = await self._visible_job(request)
        outcome = await self._queue.service.operations.delete(job_id, queue)
        if outcome == "missing":
            raise no_such_job(job_id)
        if outcome == "started":
            raise _wrong_status(job_id, outcome, "cannot be deleted: cancel it first")
        return Response(status_code=204)

    async def _visible_job(self, request: Request) -> tuple[str, str | None]:
        """Return the id of the path, and the queue in which the caller's key sees the job; None if it sees all.

        A job that it does not see does not exist for it. The operation itself must look at the queue again: the id may
        be that of another job by then.
        """
        job_id, caller = job_id_of(request), caller_of(request.scope)
        if not caller.is_bound:
            return job_id, None
        (queue,) = await read_queues(await self._find(job_id), [job_id])
        if not queue or not caller.sees(queue):
            raise no_such_job(job_id)
        return job_id, queue

    async def _find(self, job_id: str) -> Shard:
        shard = await find_shard(self._queue.service.shards, job_id)
        if shard is None:
            raise no_such_job(job_id)
        return shard

    async def _view(self, shard: Shard, job_id: str, caller: Caller) -> JobView:
        (job,) = await view_jobs(shard, [job_id], self._functions, hide_arguments_of=self._hide_arguments_of)
        if job is None or not caller.sees(job.queue):
            raise no_such_job(job_id)
        return job

    async def _wait(self, shard: Shard, job_id: str, seconds: float, disconnect: asyncio.Task[None] | None) -> None:
        closing = asyncio.create_task(self._queue.closing.wait())
        try:
            with self._queue.service.status_poller.when_ended(shard, job_id) as end:
                ends: set[asyncio.Future[Any]] = {end, closing} if disconnect is None else {end, closing, disconnect}
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()


def job_id_of(request: Request) -> str:
    """Return the id in the path.

    Raises:
        Problem: 404, no job can have it.
    """
    job_id = str(request.path_params["job_id"])
    if not _JOB_ID.fullmatch(job_id):
        raise no_such_job(job_id)
    return job_id


def no_such_job(job_id: str) -> Problem:
    """Return the 404 for a job that does not exist, or that the caller does not see."""
    return Problem(NO_SUCH_JOB, f"there is no job with the id {job_id[:80]!r}")


def _wrong_status(job_id: str, status: str | None, reason: str) -> Problem:
    return Problem(WRONG_STATUS, f"the job is {status}: it {reason}", id=job_id)
