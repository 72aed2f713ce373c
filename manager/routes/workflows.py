"""`/workflows`: submit, show, cancel and retry graphs of jobs."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from jobqueue.lifecycle.workflows import (
    FINALLY,
    Member,
    Workflow,
    WorkflowConflict,
    cancel_workflow,
    new_workflow,
    read_member_statuses,
    read_workflow,
    retry_workflow,
    submit_workflow,
)
from jobqueue.model import Dependency, NewJob
from manager.api_keys.caller import Caller
from manager.http.asgi import read_json
from manager.http.authentication import caller_of
from manager.http.json_response import json_response
from manager.http.key_limits import take_jobs
from manager.http.permissions import queue_forbidden
from manager.http.problems import NO_SUCH_WORKFLOW, WORKFLOW_CONFLICT, Problem, validation_problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.http.request_traces import traced
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.queue.parents import check_parents
from manager.routes.placement import check_placement
from manager.schemas.job_factory import JobFactory
from manager.schemas.openapi import WORKFLOW_ID, problem_responses, request_body, schema_reference
from manager.schemas.workflow import (
    CanceledWorkflow,
    NewWorkflow,
    RetriedWorkflow,
    WorkflowBody,
    WorkflowResponse,
    edges_of,
    overall_status,
)

MAX_BODY_BYTES = 64 * 1024 * 1024


class WorkflowRoutes:
    """Handlers of the workflows' routes.

    Args:
        job_factory: creates the records of the jobs.
        metrics: counts the submitted jobs.
    """

    def __init__(self, queue: QueueConnection, job_factory: JobFactory, metrics: Metrics) -> None:
        self._queue = queue
        self._job_factory = job_factory
        self._metrics = metrics

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["workflows"])
        router.add_api_route(
            "/workflows",
            self.submit,
            methods=["POST"],
            status_code=201,
            response_model=NewWorkflow,
            responses={
                200: {"description": "It was submitted before, with the same content", "model": NewWorkflow},
                **problem_responses(400, 409, 413, 415, 422, 503),
            },
            openapi_extra={"requestBody": request_body("application/json", schema_reference("WorkflowBody"))},
        )
        parameters = {"parameters": [WORKFLOW_ID]}
        router.add_api_route(
            "/workflows/{workflow_id}",
            self.show,
            methods=["GET"],
            response_model=WorkflowResponse,
            responses=problem_responses(400, 404, 503),
            openapi_extra=parameters,
        )
        router.add_api_route(
            "/workflows/{workflow_id}/cancel",
            self.cancel,
            methods=["POST"],
            response_model=CanceledWorkflow,
            responses=problem_responses(400, 404, 503),
            openapi_extra=parameters,
        )
        router.add_api_route(
            "/workflows/{workflow_id}/retry",
            self.retry,
            methods=["POST"],
            response_model=RetriedWorkflow,
            responses=problem_responses(400, 404, 503),
            openapi_extra=parameters,
        )
        return router

    async def submit(self, request: Request) -> Response:
        """Submit a workflow: all of its jobs, or none."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        raw = await read_json(request.scope, request.receive, MAX_BODY_BYTES)
        try:
            body = WorkflowBody.model_validate_json(raw)
        except ValidationError as error:
            raise validation_problem(error) from error
        caller, service = caller_of(request.scope), self._queue.service
        workflow, jobs = self._plan(body, caller)
        own_ids = {job.id for job in jobs}
        outside = [
            job._replace(depends_on=tuple(each for each in job.depends_on or () if each.parent_id not in own_ids))
            for job in jobs
        ]
        for problem in (await check_parents(service.shards, outside, caller)).values():
            raise problem
        take_jobs(caller, [job.queue for job in jobs], service.monitor.has_room)
        is_new = False
        try:
            is_new = await submit_workflow(service.shards, workflow, [traced(request.scope, job) for job in jobs])
        except WorkflowConflict as error:
            raise Problem(WORKFLOW_CONFLICT, str(error), id=workflow.id) from error
        finally:
            if not is_new and caller.limiter is not None:
                for _ in jobs:
                    caller.limiter.give_back_job()
        self._metrics.jobs_submitted += len(jobs) if is_new else 0
        answer = {"id": workflow.id, "jobs": {name: member.id for name, member in workflow.members.items()}}
        return json_response(answer, 201 if is_new else 200, {"Location": f"/workflows/{workflow.id}"})

    async def show(self, request: Request) -> Response:
        """Show a workflow with the status of each job."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        workflow = await self._find(request)
        return json_response(_document(workflow, await read_member_statuses(self._queue.service.shards, workflow)))

    async def cancel(self, request: Request) -> Response:
        """Cancel all jobs of a workflow that have not ended; `finally` runs."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        workflow = await self._find(request)
        return json_response({"id": workflow.id, **await cancel_workflow(self._queue.service.shards, workflow)})

    async def retry(self, request: Request) -> Response:
        """Run again what did not finish, and what waited for it; `finally` runs again after that."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        workflow = await self._find(request)
        return json_response(
            {"id": workflow.id, "requeued": await retry_workflow(self._queue.service.shards, workflow)}
        )

    def _plan(self, body: WorkflowBody, caller: Caller) -> tuple[Workflow, list[NewJob]]:
        shards = self._queue.service.shards
        edges = edges_of(body)
        submitter = self._queue.service.submitter
        limited = any(job.limits for job in body.members.values())
        workflow_id = body.id or (submitter.new_id_on_first_shard() if limited else submitter.new_id())
        shard = shards.of(workflow_id)
        ids = {name: shards.derived_id(f"{workflow_id}:{name}", shard) for name in body.members}
        members: dict[str, Member] = {}
        jobs = []
        for name, submission in body.members.items():
            if not caller.sees(submission.queue):
                raise queue_forbidden(caller, submission.queue)
            try:
                job = self._job_factory.create_job(submission.without_parents, ids[name], caller.limiter)
            except Problem as problem:
                raise _of_member(problem, name) from problem
            check_placement(shards, job, "workflow's id")
            members[name] = Member(ids[name], job.function, job.queue, tuple(edges[name]))
            parents = tuple(Dependency(ids.get(parent, parent), awaited) for parent, awaited in edges[name])
            jobs.append(job._replace(depends_on=parents, workflow_id=workflow_id))
        return new_workflow(workflow_id, members), jobs

    async def _find(self, request: Request) -> Workflow:
        workflow_id, caller = str(request.path_params["workflow_id"]), caller_of(request.scope)
        workflow = await read_workflow(self._queue.service.shards, workflow_id)
        # A key that does not see all of its queues does not see it at all.
        if workflow is None or not all(caller.sees(member.queue) for member in workflow.members.values()):
            raise Problem(NO_SUCH_WORKFLOW, f"there is no workflow with the id {workflow_id[:80]!r}")
        return workflow


def _of_member(problem: Problem, name: str) -> Problem:
    """Return the problem of a job with the job's name before the field."""
    path = FINALLY if name == FINALLY else f"jobs.{name}"
    members = dict(problem.members)
    if "errors" in members:
        members["errors"] = [{**error, "field": f"{path}.{error['field']}"} for error in members["errors"]]
    return Problem(problem.problem_type, f"{path}.{problem.detail}", headers=problem.headers, **members)


def _document(workflow: Workflow, statuses: dict[str, str | None]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for status in statuses.values():
        if status is not None:
            counts[status] = counts.get(status, 0) + 1
    return {
        "id": workflow.id,
        "status": overall_status(statuses),
        "created_at": workflow.created_at,
        "counts": counts,
        "jobs": {
            name: {
                "id": member.id,
                "function": member.function,
                "queue": member.queue,
                "status": statuses[name],
                "depends_on": [{"job": parent, "when": awaited} for parent, awaited in member.parents],
            }
            for name, member in workflow.members.items()
        },
    }
