"""Errors as RFC 9457 problem details."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import ValidationError

from jobqueue.errors import JobQueueError, NotPermitted, QueueFull, ShardUnavailable
from jobqueue.inspection.listing import InvalidCursor

MEDIA_TYPE = "application/problem+json"
UNAVAILABLE_RETRY_SECONDS = 1
FULL_RETRY_SECONDS = 5
_SHOWN_ERRORS = 20


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem: its status, the last part of its `type`, its title."""

    status: int
    name: str
    title: str


BAD_QUERY = ProblemType(400, "bad-query", "A query parameter is wrong")
BAD_BODY = ProblemType(400, "bad-body", "The body cannot be read")
UNAUTHORIZED = ProblemType(401, "unauthorized", "An API key is needed")
NO_SUCH_JOB = ProblemType(404, "no-such-job", "There is no such job")
NO_SUCH_ROUTE = ProblemType(404, "no-such-route", "There is no such route")
WRONG_METHOD = ProblemType(405, "wrong-method", "The route does not take this method")
ID_CONFLICT = ProblemType(409, "id-conflict", "The id belongs to a job with other content")
DUPLICATE_UNIQUE_KEY = ProblemType(409, "duplicate-unique-key", "Another job has the unique key")
WRONG_STATUS = ProblemType(409, "wrong-status", "The job's status does not allow this")
PRICE_NOT_CONFIGURED = ProblemType(409, "price-not-configured", "Nobody has said what an instance costs")
TOO_LARGE = ProblemType(413, "too-large", "The body is too large")
WRONG_MEDIA_TYPE = ProblemType(415, "wrong-media-type", "The body's media type is not taken")
INVALID = ProblemType(422, "invalid", "The body is not valid")
INTERNAL = ProblemType(500, "internal", "The manager has failed")
UNAVAILABLE = ProblemType(503, "unavailable", "Redis cannot be reached")
FULL = ProblemType(503, "full", "Redis is full")
SHUTTING_DOWN = ProblemType(503, "shutting-down", "The manager is about to end")


class Problem(Exception):
    """An answer that says what went wrong.

    Attributes:
        kind: of problem.
        detail: what was wrong with this request.
        headers: of the answer, such as Retry-After.
        members: more members of the document, such as `errors` or `id`.
    """

    def __init__(
        self, problem_type: ProblemType, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.problem_type = problem_type
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem_type.status

    def document(self, instance: str | None = None) -> dict[str, Any]:
        """The problem details; `instance` is the path of the request."""
        document: dict[str, Any] = {
            "type": f"urn:workmanager:problem:{self.problem_type.name}",
            "title": self.problem_type.title,
            "status": self.status,
            "detail": self.detail,
        }
        if instance is not None:
            document["instance"] = instance
        return document | self.members

    def to_json(self, instance: str | None = None) -> bytes:
        """The document as JSON."""
        return orjson.dumps(self.document(instance))


def unavailable_problem(error: ShardUnavailable, job_id: str | None = None) -> Problem:
    """Redis is away; `job_id` names the job to ask for, or to submit again."""
    detail = "the queue cannot be reached at the moment"
    if isinstance(error, NotPermitted):
        detail = "Redis refuses this manager's user what the request needs: its users are older than the manager"
    if error.outcome_unknown:
        detail = "the answer of the queue is missing: the change may have been made; repeating it is safe"
        if job_id is not None:
            detail += " with the same id"
    members = {} if job_id is None else {"id": job_id}
    return Problem(UNAVAILABLE, detail, headers={"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)}, **members)


def queue_problem(error: JobQueueError) -> Problem:
    """The answer to an error of the queue."""
    match error:
        case ShardUnavailable():
            return unavailable_problem(error)
        case QueueFull():
            return Problem(FULL, "no new jobs are taken for now", headers={"Retry-After": str(FULL_RETRY_SECONDS)})
        case InvalidCursor():
            return Problem(BAD_QUERY, f"cursor: {error}", parameter="cursor")
        case _:
            return Problem(INTERNAL, "the queue has failed")


def validation_problem(error: ValidationError) -> Problem:
    """400 for what is not JSON, 422 for what is not valid, naming the fields."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return Problem(BAD_BODY, errors[0]["msg"])
    fields = [
        {"field": ".".join(str(part) for part in entry["loc"]), "message": entry["msg"]}
        for entry in errors[:_SHOWN_ERRORS]
    ]
    first = fields[0]
    return Problem(INVALID, f"{first['field'] or 'body'}: {first['message']}", errors=fields)


def http_status_problem(status: int, path: str, allowed: Sequence[str]) -> Problem:
    """What the router refuses: an unknown path, or a method that is none of those `allowed` there."""
    if status == HTTPStatus.NOT_FOUND:
        return Problem(NO_SUCH_ROUTE, f"nothing is served at {path}")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = ", ".join(allowed)
        return Problem(WRONG_METHOD, f"{path} takes {methods}", headers={"Allow": methods})
    phrase = HTTPStatus(status).phrase
    return Problem(ProblemType(status, phrase.lower().replace(" ", "-"), phrase), phrase)


def duplicate_unique_key(job_id: str, free_in_seconds: float) -> Problem:
    """Another job has the unique key for so long."""
    seconds = max(1, math.ceil(free_in_seconds))
    return Problem(
        DUPLICATE_UNIQUE_KEY,
        f"job {job_id} has the unique key for another {seconds} s",
        headers={"Retry-After": str(seconds)},
        id=job_id,
    )
