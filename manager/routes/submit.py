"""`POST /jobs`: submit one job of any function."""

from fastapi import APIRouter, Request, Response

from jobqueue.inspection.job_states import read_statuses
from jobqueue.lifecycle.enqueue import EnqueueOutcome
from jobqueue.model import Status
from manager.http.asgi import read_json
from manager.http.authentication import caller_of
from manager.http.json_response import json_response
from manager.http.key_limits import take_job
from manager.http.permissions import queue_forbidden
from manager.http.query_parameters import NO_PARAMETERS
from manager.http.request_origin import JOB_ID
from manager.http.request_traces import traced
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.queue.parents import check_parents
from manager.queue.submitter import PendingJob
from manager.routes.foreign_jobs import hide_foreign_job
from manager.routes.placement import check_placement, may_move, new_id_for
from manager.schemas.documents import problem_for
from manager.schemas.job_factory import JobFactory
from manager.schemas.openapi import problem_responses, request_body, schema_reference
from manager.schemas.responses import JobStatus


class SubmitRoute:
    """The handler.

    Args:
        job_factory: parses submissions.
        metrics: counts the submitted jobs.
    """

    def __init__(self, queue: QueueConnection, job_factory: JobFactory, metrics: Metrics) -> None:
        self._queue = queue
        self._job_factory = job_factory
        self._metrics = metrics

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["jobs"])
        router.add_api_route(
            "/jobs",
            self.submit,
            methods=["POST"],
            status_code=201,
            response_model=JobStatus,
            responses={
                200: {"description": "The job was submitted before, with the same content", "model": JobStatus},
                **problem_responses(400, 409, 413, 415, 422, 503),
            },
            openapi_extra={"requestBody": request_body("application/json", schema_reference("Submission"))},
        )
        return router

    async def submit(self, request: Request) -> Response:
        """Submit a job."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        submission = self._job_factory.parse(
            await read_json(request.scope, request.receive, self._job_factory.max_body_bytes)
        )
        service = self._queue.service
        caller = caller_of(request.scope)
        if not caller.sees(submission.queue):
            raise queue_forbidden(caller, submission.queue)
        limiter = caller.limiter
        job = self._job_factory.create_job(
            submission, submission.id or new_id_for(submission, service.submitter), limiter
        )
        check_placement(service.shards, job)
        if job.depends_on is not None:
            problem = (await check_parents(service.shards, [job], caller)).get(job.id)
            if problem is not None:
                raise problem
        if limiter is not None:
            take_job(caller, limiter, job.queue, service.monitor.has_room)
        job = traced(request.scope, job)
        result = await service.submitter.submit(PendingJob(job, can_change_shard=may_move(submission)))
        request.scope[JOB_ID] = result.job_id
        if limiter is not None and result.answer is not EnqueueOutcome.WRITTEN:
            limiter.give_back_job()
        problem = problem_for(result)
        if problem is not None:
            raise await hide_foreign_job(problem, caller, service.shards)
        status: str | None = Status.QUEUED if job.due_at is None else Status.SCHEDULED
        has_lane = bool(job.limits) or job.fair_key is not None
        code = 200 if result.answer is EnqueueOutcome.REPEATED and submission.id is not None else 201
        if code == 200 or job.depends_on is not None or has_lane:
            (now,) = await read_statuses(service.shards.of(result.job_id), [result.job_id])
            status = now or status
        self._metrics.jobs_submitted += result.answer is EnqueueOutcome.WRITTEN
        location = {"Location": f"/jobs/{result.job_id}"}
        answer = {"id": result.job_id, "status": status}
        waits = status in (Status.QUEUED, Status.SCHEDULED) or has_lane
        if waits and (warning := await service.monitor.warning(job.queue)) is not None:
            answer["warning"] = warning
        return json_response(answer, code, location)
