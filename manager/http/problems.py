"""Error responses: RFC 9457 problem details, and the problem for each kind of error."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import ValidationError

from jobqueue.errors import (
    ChangedMeanwhile,
    FunctionMissing,
    JobQueueError,
    NotPermitted,
    QueueFull,
    ShardUnavailable,
    UnexpectedContent,
)
from jobqueue.inspection.listing import InvalidCursor

MEDIA_TYPE = "application/problem+json"
UNAVAILABLE_RETRY_SECONDS = 1
FULL_RETRY_SECONDS = 5
"""Retry-After while Redis cannot be reached, and while it is full."""
UNKNOWN_FIELD = "there is no such field: GET /docs and /openapi.json show those that there are"
_MAX_SHOWN_ERRORS = 20


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A problem type: its HTTP status, the last part of its `type` URN, and its title."""

    status: int
    name: str
    title: str


SIGN_IN_FIRST = ProblemType(303, "sign-in-first", "Sign in first")
NOT_HTTP = ProblemType(400, "not-http", "This is not a valid HTTP request")
BAD_QUERY = ProblemType(400, "bad-query", "A query parameter is invalid")
BAD_BODY = ProblemType(400, "bad-body", "The body cannot be read")
UNAUTHORIZED = ProblemType(401, "unauthorized", "An API key is needed")
FORBIDDEN = ProblemType(403, "forbidden", "The API key does not allow this")
FOREIGN_PAGE = ProblemType(403, "foreign-page", "A web page of another site must not use this manager")
NO_SUCH_JOB = ProblemType(404, "no-such-job", "The job does not exist")
NO_SUCH_WORKFLOW = ProblemType(404, "no-such-workflow", "The workflow does not exist")
NO_SUCH_CALLBACK = ProblemType(404, "no-such-callback", "The callback does not exist")
NO_SUCH_LIMIT = ProblemType(404, "no-such-limit", "The limit does not exist")
NO_SUCH_KEY = ProblemType(404, "no-such-key", "The API key does not exist")
NO_SUCH_SCHEDULE = ProblemType(404, "no-such-schedule", "The schedule does not exist")
NO_SUCH_OPERATION = ProblemType(404, "no-such-operation", "The operation does not exist")
NO_SUCH_WORKER = ProblemType(404, "no-such-worker", "The worker does not exist")
NO_SUCH_ROUTE = ProblemType(404, "no-such-route", "The path does not exist")
WRONG_METHOD = ProblemType(405, "wrong-method", "The path does not support this method")
TOO_SLOW = ProblemType(408, "too-slow", "The request did not arrive in time")
ID_CONFLICT = ProblemType(409, "id-conflict", "The id belongs to a job with different content")
WORKFLOW_CONFLICT = ProblemType(409, "workflow-conflict", "The id belongs to another workflow")
DUPLICATE_UNIQUE_KEY = ProblemType(409, "duplicate-unique-key", "Another job holds the unique key")
OPERATION_CONFLICT = ProblemType(409, "operation-conflict", "The id belongs to another operation")
TOO_MANY_OPERATIONS = ProblemType(409, "too-many-operations", "There are too many operations")
WRONG_STATUS = ProblemType(409, "wrong-status", "The job's status does not allow this")
LIMITS_CONFLICT = ProblemType(409, "limits-conflict", "The minimum of workers is more than the maximum")
KEYS_NOT_ASKED_FOR = ProblemType(409, "keys-not-asked-for", "This manager asks for no API keys")
TOO_MANY_KEYS = ProblemType(409, "too-many-keys", "There are too many API keys")
TOO_MANY_SCHEDULES = ProblemType(409, "too-many-schedules", "There are too many schedules")
RUN_NOT_ENDED = ProblemType(409, "run-not-ended", "The schedule's run before has not ended")
PLAIN_RQ_WORKER = ProblemType(409, "plain-rq-worker", "Workers of plain RQ cannot do this")
KEY_EXPIRED = ProblemType(409, "key-expired", "The API key has expired")
PRICE_NOT_CONFIGURED = ProblemType(409, "price-not-configured", "The price of an instance is not configured")
TOO_LARGE = ProblemType(413, "too-large", "The body is too large")
TARGET_TOO_LONG = ProblemType(414, "target-too-long", "The request's URL is too long")
WRONG_MEDIA_TYPE = ProblemType(415, "wrong-media-type", "The body's media type is not supported")
WRONG_ENCODING = ProblemType(415, "wrong-encoding", "The body's encoding is not supported")
EXPECTATION_FAILED = ProblemType(417, "expectation-failed", "The request expects what this server cannot do")
MISDIRECTED = ProblemType(421, "misdirected", "This manager does not answer for the host")
INVALID = ProblemType(422, "invalid", "The body is not valid")
RATE_EXCEEDED = ProblemType(429, "rate-exceeded", "The API key has sent too much in too short a time")
TOO_MANY_WAITING = ProblemType(429, "too-many-waiting", "Too many jobs wait in the queue")
FIELDS_TOO_LARGE = ProblemType(431, "fields-too-large", "The request's header fields are too large")
INTERNAL = ProblemType(500, "internal", "The manager has failed")
NOT_IMPLEMENTED = ProblemType(501, "not-implemented", "This server cannot do that")
UNAVAILABLE = ProblemType(503, "unavailable", "Redis cannot be reached")
TOO_MANY_STREAMS = ProblemType(503, "too-many-streams", "This manager has too many open streams")
ISSUER_UNAVAILABLE = ProblemType(503, "issuer-unavailable", "The issuer of tokens has not told its keys")
FULL = ProblemType(503, "full", "Redis is full")
SHUTTING_DOWN = ProblemType(503, "shutting-down", "The manager is shutting down")
TOO_MANY_CONNECTIONS = ProblemType(503, "too-many-connections", "The manager has too many connections")
WRONG_VERSION = ProblemType(505, "wrong-version", "This version of HTTP is not supported")


class Problem(Exception):
    """An error response.

    Attributes:
        problem_type: status, URN and title.
        detail: what was wrong with this request.
        headers: response headers, such as Retry-After.
        members: further members of the document, such as `errors` or `id`.
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
        """Return the problem details; `instance` is the path of the request."""
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
        """Return the document as JSON."""
        return orjson.dumps(self.document(instance))


def unavailable_problem(error: ShardUnavailable, job_id: str | None = None) -> Problem:
    """Return a 503 for an unavailable shard; `job_id` is the job to look up or to submit again."""
    detail = "the queue is unavailable at the moment"
    if isinstance(error, NotPermitted):
        detail = (
            "Redis denies this manager's user a command: it has another role, or the Redis users are from an older"
            " version (the manager's log and /readyz say more)"
        )
    if isinstance(error, FunctionMissing):
        detail = "Redis does not have the functions that this manager calls: set WORKMANAGER_CLUSTER_URL (see /readyz)"
    if error.outcome_unknown:
        detail = "the queue did not answer: the change may have been made; repeating it is safe"
        if job_id is not None:
            detail += " with the same id"
    members = {} if job_id is None else {"id": job_id}
    return Problem(UNAVAILABLE, detail, headers={"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)}, **members)


def queue_problem(error: JobQueueError) -> Problem:
    """Return the problem for an error of the queue."""
    match error:
        case ShardUnavailable():
            return unavailable_problem(error)
        case QueueFull():
            return Problem(
                FULL,
                "Redis is almost full: new jobs are rejected for now",
                headers={"Retry-After": str(FULL_RETRY_SECONDS)},
            )
        case UnexpectedContent():
            return Problem(
                UNAVAILABLE,
                f"a key in Redis holds something that this system never writes: {error}",
                headers={"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)},
            )
        case ChangedMeanwhile():
            detail = f"others change {error} at the same time: try again"
            return Problem(UNAVAILABLE, detail, headers={"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)})
        case InvalidCursor():
            return Problem(BAD_QUERY, f"cursor: {error}", parameter="cursor")
        case _:
            return Problem(INTERNAL, "the queue failed: see the manager's log")


def validation_problem(error: ValidationError) -> Problem:
    """Return a 400 for a body that is not JSON, or a 422 that names the invalid fields."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return Problem(BAD_BODY, errors[0]["msg"])
    fields = [
        {
            "field": ".".join(str(part) for part in entry["loc"]),
            "message": UNKNOWN_FIELD if entry["type"] == "extra_forbidden" else entry["msg"],
        }
        for entry in errors[:_MAX_SHOWN_ERRORS]
    ]
    first = fields[0]
    return Problem(INVALID, f"{first['field'] or 'body'}: {first['message']}", errors=fields)


def http_status_problem(status: int, path: str, allowed: Sequence[str]) -> Problem:
    """Return the problem for a status of the router: an unknown path, or a method that is not `allowed` there."""
    if status == HTTPStatus.NOT_FOUND:
        return Problem(NO_SUCH_ROUTE, f"there is nothing at {path}: GET /docs and /openapi.json show all paths")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        methods = ", ".join(allowed)
        return Problem(WRONG_METHOD, f"{path} supports {methods}", headers={"Allow": methods})
    phrase = HTTPStatus(status).phrase
    return Problem(ProblemType(status, phrase.lower().replace(" ", "-"), phrase), phrase)


def without_holder(problem: Problem) -> Problem:
    """Return the problem of `duplicate_unique_key` without the id of the other job."""
    detail = "a job of another queue holds the unique key"
    return Problem(DUPLICATE_UNIQUE_KEY, detail, headers=problem.headers)


def duplicate_unique_key(job_id: str, free_in_seconds: float) -> Problem:
    """Return a 409 for a unique key that another job holds for `free_in_seconds` more."""
    seconds = max(1, math.ceil(free_in_seconds))
    return Problem(
        DUPLICATE_UNIQUE_KEY,
        f"job {job_id} holds the unique key for another {seconds} s",
        headers={"Retry-After": str(seconds)},
        id=job_id,
    )
