"""Make schedules of the bodies that clients send."""

import time
from typing import Any

from pydantic import ValidationError

from manager.api_keys.limits import KeyLimiter
from manager.http.problems import INVALID, Problem, validation_problem
from manager.schedules.cron import check_cron
from manager.schedules.record import CatchUp, Schedule
from manager.schedules.timing import Timing
from manager.schedules.zones import UTC_NAME, zone_of
from manager.schemas.job_factory import JobFactory
from manager.schemas.json_types import parse_instant
from manager.schemas.schedule_body import ScheduleBody


def build_schedule(name: str, raw: bytes, job_factory: JobFactory, limiter: KeyLimiter | None) -> Schedule:
    """Return the schedule that a body describes.

    Args:
        limiter: of the key that sends it.

    Raises:
        Problem: 400, 413 or 422.
    """
    try:
        body = ScheduleBody.model_validate_json(raw)
    except ValidationError as error:
        raise validation_problem(error) from error
    try:
        template = job_factory.create_job(body.job, "", limiter)
    except Problem as problem:
        raise _of_job(problem) from problem
    return Schedule(
        name=name,
        timing=_timing(body),
        overlap=body.overlap,
        catch_up=CatchUp(body.catch_up.within, body.catch_up.runs),
        jitter_seconds=body.jitter,
        max_runs=body.max_runs,
        job=body.job.model_dump(mode="json", exclude_unset=True, exclude_none=True),
        template=template,
    )


def _timing(body: ScheduleBody) -> Timing:
    timezone = body.timezone or UTC_NAME
    try:
        zone = zone_of(timezone)
    except ValueError as error:
        raise _invalid("timezone", str(error)) from error
    if body.cron is not None:
        try:
            check_cron(body.cron, zone, time.time())
        except ValueError as error:
            raise _invalid("cron", str(error)) from error
    start, end = (None if text is None else parse_instant(text) for text in (body.start, body.end))
    if start is not None and end is not None and end < start:
        raise _invalid("end", "must not be before 'start'")
    return Timing(body.cron, body.every, timezone, start, end)


def _of_job(problem: Problem) -> Problem:
    """Return a problem of a job as one of the field `job`."""
    members: dict[str, Any] = dict(problem.members)
    if "errors" in members:
        members["errors"] = [error | {"field": f"job.{error['field']}"} for error in members["errors"]]
    return Problem(problem.problem_type, f"job.{problem.detail}", headers=problem.headers, **members)


def _invalid(field: str, message: str) -> Problem:
    return Problem(INVALID, f"{field}: {message}", errors=[{"field": field, "message": message}])
