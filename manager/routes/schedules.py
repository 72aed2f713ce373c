"""`/schedules`: create, show, list, change, pause, resume, trigger and delete schedules, and preview expressions."""

import asyncio
import re
from collections.abc import Sequence
from itertools import islice

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.arguments import is_hidden
from manager.api_keys.caller import Caller
from manager.http.asgi import read_json, read_optional_json
from manager.http.authentication import author_of, caller_of
from manager.http.json_response import json_response
from manager.http.permissions import queue_forbidden
from manager.http.problems import (
    FORBIDDEN,
    INVALID,
    NO_SUCH_SCHEDULE,
    RUN_NOT_ENDED,
    TOO_MANY_SCHEDULES,
    Problem,
    validation_problem,
)
from manager.http.query_parameters import NO_PARAMETERS, Choice, Query
from manager.queue.connection import QueueConnection
from manager.queue.schedule_operations import ScheduleOperations, Sees
from manager.routes.placement import check_placement
from manager.routes.schedule_preview import PREVIEW_QUERY, preview
from manager.schedules.clock_changes import ClockChange, clock_changes
from manager.schedules.record import Progress, Schedule
from manager.schedules.run_ids import NAME_PATTERN
from manager.schedules.store import MAX_SCHEDULES, Stored
from manager.schedules.zones import zone_of
from manager.schemas.job_factory import JobFactory
from manager.schemas.openapi import SCHEDULE_NAME, problem_responses, request_body, schema_reference
from manager.schemas.schedule_body import PauseBody
from manager.schemas.schedule_builder import build_schedule
from manager.schemas.schedules import (
    SavedSchedule,
    ScheduleDetails,
    ScheduleList,
    SchedulePreview,
    ScheduleResponse,
    TriggeredRun,
    instant_documents,
    run_document,
    schedule_document,
)

MAX_BODY_BYTES = 64 * 1024
"""Every manager reads a schedule whenever it is due."""
MAX_PAUSE_BYTES = 4096
UPCOMING = 5
"""Instants that are shown with a schedule."""

PUT_QUERY = Query(
    Choice("dry_run", "`true`: check it and tell the outcome, but change nothing", ("true", "false"), default="false")
)

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_RESERVED = "preview"


class ScheduleRoutes:
    """Handlers of the schedules' routes.

    Args:
        job_factory: makes and checks the jobs that schedules run.
        functions: gives the import paths of the functions that jobs call.
        hide_arguments_of: patterns of functions whose arguments are not shown.
    """

    def __init__(
        self,
        queue: QueueConnection,
        job_factory: JobFactory,
        functions: FunctionRegistry,
        hide_arguments_of: Sequence[str],
    ) -> None:
        self._queue = queue
        self._job_factory = job_factory
        self._functions = functions
        self._hide_arguments_of = hide_arguments_of

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["schedules"])
        router.add_api_route(
            "/schedules", self.list, response_model=ScheduleList, responses=problem_responses(400, 503)
        )
        # `/schedules/preview` must come before `/schedules/{name}`, which matches it as well.
        router.add_api_route(
            "/schedules/preview",
            preview,
            response_model=SchedulePreview,
            responses=problem_responses(400),
            openapi_extra={"parameters": PREVIEW_QUERY.openapi()},
        )
        router.add_api_route(
            "/schedules/{name}",
            self.show,
            response_model=ScheduleDetails,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [SCHEDULE_NAME]},
        )
        router.add_api_route(
            "/schedules/{name}",
            self.put,
            methods=["PUT"],
            response_model=SavedSchedule,
            responses={
                201: {"description": "The schedule was created", "model": SavedSchedule},
                **problem_responses(400, 409, 413, 415, 422, 503),
            },
            openapi_extra={
                "parameters": [SCHEDULE_NAME, *PUT_QUERY.openapi()],
                "requestBody": request_body("application/json", schema_reference("ScheduleBody")),
            },
        )
        router.add_api_route(
            "/schedules/{name}",
            self.delete,
            methods=["DELETE"],
            status_code=204,
            response_class=Response,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [SCHEDULE_NAME]},
        )
        router.add_api_route(
            "/schedules/{name}/pause",
            self.pause,
            methods=["POST"],
            response_model=ScheduleResponse,
            responses=problem_responses(400, 404, 413, 415, 422, 503),
            openapi_extra={
                "parameters": [SCHEDULE_NAME],
                "requestBody": request_body("application/json", schema_reference("PauseBody"), required=False),
            },
        )
        router.add_api_route(
            "/schedules/{name}/resume",
            self.resume,
            methods=["POST"],
            response_model=ScheduleResponse,
            responses=problem_responses(400, 404, 503),
            openapi_extra={"parameters": [SCHEDULE_NAME]},
        )
        router.add_api_route(
            "/schedules/{name}/trigger",
            self.trigger,
            methods=["POST"],
            status_code=201,
            response_model=TriggeredRun,
            responses=problem_responses(400, 404, 409, 503),
            openapi_extra={"parameters": [SCHEDULE_NAME]},
        )
        return router

    async def list(self, request: Request) -> Response:
        """List the schedules by name."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        sees = _seen_by(caller_of(request.scope))
        stored, unavailable = await self._schedules.all()
        seen = [each for each in stored if sees(each)]
        return json_response(
            {
                "schedules": [
                    self._document(each.schedule, each.progress) for each in seen if each.schedule is not None
                ],
                "unreadable": [{"name": each.name, "problem": each.problem} for each in seen if each.schedule is None],
                "shards_unavailable": unavailable,
            }
        )

    async def show(self, request: Request) -> Response:
        """Show a schedule: what comes, and what it has done."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        name = _path_name(request)
        stored, now = await self._schedules.read(name)
        if stored is None or not _seen_by(caller_of(request.scope))(stored):
            raise _no_such_schedule(name)
        schedule, progress = stored.schedule, stored.progress
        if schedule is None:
            raise Problem(NO_SUCH_SCHEDULE, f"{stored.problem}: delete it, or put another one in its place")
        zone = zone_of(schedule.timing.timezone)
        history, active = await self._schedules.history(name)
        upcoming = await asyncio.to_thread(_upcoming, schedule, progress)
        instants, changes = instant_documents(upcoming, _changes(schedule, now), zone)
        return json_response(
            self._document(schedule, progress)
            | {"upcoming": instants, "clock_changes": changes}
            | {"history": [run_document(row, zone) for row in history], "active": active}
        )

    async def put(self, request: Request) -> Response:
        """Create a schedule, or replace the one with this name. It stays paused if it was."""
        dry_run = PUT_QUERY.parse(request.scope["query_string"])["dry_run"] == "true"
        name, caller = str(request.path_params["name"]), caller_of(request.scope)
        raw = await read_json(request.scope, request.receive, MAX_BODY_BYTES)
        if not _NAME.fullmatch(name) or name == _RESERVED:
            reason = f"must match {NAME_PATTERN}, and not be {_RESERVED!r}"
            raise Problem(INVALID, f"name: {reason}", errors=[{"field": "name", "message": reason}])
        schedule = await asyncio.to_thread(build_schedule, name, raw, self._job_factory, caller.limiter)
        if not caller.sees(schedule.template.queue):
            raise queue_forbidden(caller, schedule.template.queue)
        # A run's id lies on the shard of the schedule's name.
        check_placement(self._queue.service.shards, schedule.template._replace(id=name), "schedule's name")
        saved = await self._schedules.put(schedule, author_of(request.scope), _seen_by(caller), dry_run=dry_run)
        match saved.outcome:
            case "foreign":
                raise Problem(FORBIDDEN, "another queue's schedule has this name: choose another name")
            case "full":
                detail = f"there are {MAX_SCHEDULES} schedules on this shard: delete some that are not used any more"
                raise Problem(TOO_MANY_SCHEDULES, detail)
        answer = self._document(schedule, saved.progress) | {"outcome": saved.outcome}
        if (warning := await self._queue.service.monitor.warning(schedule.template.queue)) is not None:
            answer["warning"] = warning
        if saved.outcome != "created" or dry_run:
            return json_response(answer)
        return json_response(answer, 201, {"Location": f"/schedules/{name}"})

    async def delete(self, request: Request) -> Response:
        """Delete a schedule. Jobs that it has enqueued stay."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        name = _path_name(request)
        if not await self._schedules.delete(name, author_of(request.scope), _seen_by(caller_of(request.scope))):
            raise _no_such_schedule(name)
        return Response(status_code=204)

    async def pause(self, request: Request) -> Response:
        """Pause a schedule. What would have run meanwhile never does; runs that are queued stay."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        name = _path_name(request)
        raw = await read_optional_json(request.scope, request.receive, MAX_PAUSE_BYTES)
        try:
            body = PauseBody.model_validate_json(raw)
        except ValidationError as error:
            raise validation_problem(error) from error
        sees = _seen_by(caller_of(request.scope))
        return self._shown(name, await self._schedules.pause(name, body.note, author_of(request.scope), sees))

    async def resume(self, request: Request) -> Response:
        """Resume a schedule with the next instant. Without a pause, this changes nothing."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        name, sees = _path_name(request), _seen_by(caller_of(request.scope))
        return self._shown(name, await self._schedules.resume(name, author_of(request.scope), sees))

    async def trigger(self, request: Request) -> Response:
        """Run a schedule now, even one that is paused or has ended.

        Unless `overlap` is `allow`, it is refused while a run has not ended.
        """
        NO_PARAMETERS.parse(request.scope["query_string"])
        name, sees = _path_name(request), _seen_by(caller_of(request.scope))
        answer = await self._schedules.trigger(name, author_of(request.scope), sees)
        if answer is None:
            raise _no_such_schedule(name)
        job_id, fired = answer
        if fired.outcome != "written":
            running = fired.blocked_by[0] if fired.blocked_by else job_id
            raise Problem(RUN_NOT_ENDED, f"run {running} has not ended: wait for it, or cancel it", id=running)
        return json_response({"id": job_id}, 201, {"Location": f"/jobs/{job_id}"})

    @property
    def _schedules(self) -> ScheduleOperations:
        return self._queue.service.schedules

    def _document(self, schedule: Schedule, progress: Progress) -> dict[str, object]:
        function = schedule.template.function
        names = [function, self._functions.path_of(function) or function]
        return schedule_document(schedule, progress, hide_arguments=is_hidden(names, self._hide_arguments_of))

    def _shown(self, name: str, stored: Stored | None) -> Response:
        if stored is None or stored.schedule is None:
            raise _no_such_schedule(name)
        return json_response(self._document(stored.schedule, stored.progress))


def _seen_by(caller: Caller) -> Sees:
    def sees(stored: Stored) -> bool:
        if stored.schedule is None:
            return not caller.is_bound
        return caller.sees(stored.schedule.template.queue)

    return sees


def _upcoming(schedule: Schedule, progress: Progress) -> Sequence[float]:
    if progress.next is None or progress.pause is not None:
        return ()
    left = UPCOMING if schedule.max_runs is None else min(UPCOMING, schedule.max_runs - progress.runs)
    return [progress.next, *islice(schedule.timing.after(progress.next), max(0, left - 1))]


def _changes(schedule: Schedule, now: float) -> Sequence[ClockChange]:
    timing = schedule.timing
    return () if timing.cron is None else clock_changes(timing.cron, zone_of(timing.timezone), now)


def _path_name(request: Request) -> str:
    name = str(request.path_params["name"])
    if not _NAME.fullmatch(name):
        raise _no_such_schedule(name)
    return name


def _no_such_schedule(name: str) -> Problem:
    return Problem(NO_SUCH_SCHEDULE, f"there is no schedule with the name {name[:80]!r}")
