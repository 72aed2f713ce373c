"""Build the OpenAPI document: what FastAPI derives from the routes, plus bodies, errors and authentication."""

import math
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from jobqueue.functions import FunctionRegistry
from manager.http.authentication import PUBLIC_PATHS
from manager.http.permissions import rule_of
from manager.http.problems import MEDIA_TYPE
from manager.schemas.acknowledge import AcknowledgeBody
from manager.schemas.callbacks import ListenerAckBody, ReplayBody
from manager.schemas.keys import KeyBody, KeyLimitsBody, RollBody
from manager.schemas.limits import KEY_PATTERN, LimitNumbers
from manager.schemas.operation_names import OPERATION_NAMES, summary_of
from manager.schemas.operations import OperationBody
from manager.schemas.responses import ProblemDetails
from manager.schemas.scaler import LimitsBody
from manager.schemas.schedule_body import PauseBody, schedule_body_schema
from manager.schemas.submission import ID_PATTERN, submission_schema
from manager.schemas.wait import WaitBody
from manager.schemas.workflow import workflow_schema

_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTIONS = {
    400: "The query or the body cannot be parsed",
    404: "The job, workflow, queue, key or schedule does not exist",
    409: "The job's status or another job forbids it",
    413: "The body is too large",
    415: "The body's media type is not supported",
    422: "The body is not valid: `errors` names the fields",
    503: "Redis is unavailable or full: try again",
}


def _path_parameter(name: str, description: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


# Wider than the ids and names that can exist: others are answered with 404.
JOB_ID = _path_parameter("job_id", "The Work ID", "[A-Za-z0-9_-]+")
WORKFLOW_ID = _path_parameter("workflow_id", "The workflow's id", ID_PATTERN)
CALLBACK_ID = _path_parameter("callback_id", "The callback's id, as in `webhook-id`", "[A-Za-z0-9_-]+")
LIMIT_KEY = _path_parameter("key", "The limit's key", KEY_PATTERN)
KEY_ID = _path_parameter("key_id", "The API key's public id", "[A-Za-z0-9]+")
OPERATION_ID = _path_parameter("operation_id", "The operation's id", ID_PATTERN)
SCHEDULE_NAME = _path_parameter("name", "The schedule", "[A-Za-z0-9_-]{1,40}")
WORKER_NAME = _path_parameter("name", "The worker", r"[^/\x00-\x1f\x7f]{1,256}")
QUEUE_NAME = _path_parameter("name", "The queue", r"[^/\x00-\x1f\x7f]{1,256}")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route, for FastAPI's `responses`."""
    return {
        status: {
            "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": schema_reference("ProblemDetails")}},
        }
        for status in statuses
    }


def schema_reference(model: str) -> dict[str, str]:
    """Return a reference to a schema of the document."""
    return {"$ref": _REFERENCE.format(model=model)}


def request_body(media_type: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    """Return a request body with one media type."""
    return {"required": required, "content": {media_type: {"schema": schema}}}


def build_document(app: FastAPI, functions: FunctionRegistry, *, keys: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        functions: the functions that jobs can call.
        keys: whether requests need an API key.
    """
    result = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, openapi_version="3.1.0"
    )
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in (
        ("Submission", submission_schema(functions)),
        ("LimitNumbers", LimitNumbers.model_json_schema(ref_template=_REFERENCE)),
        ("WorkflowBody", workflow_schema(functions)),
        ("WaitBody", WaitBody.model_json_schema(ref_template=_REFERENCE)),
        ("OperationBody", OperationBody.model_json_schema(ref_template=_REFERENCE)),
        ("AcknowledgeBody", AcknowledgeBody.model_json_schema(ref_template=_REFERENCE)),
        ("ReplayBody", ReplayBody.model_json_schema(ref_template=_REFERENCE)),
        ("ListenerAckBody", ListenerAckBody.model_json_schema(ref_template=_REFERENCE)),
        ("LimitsBody", LimitsBody.model_json_schema(ref_template=_REFERENCE)),
        ("KeyBody", KeyBody.model_json_schema(ref_template=_REFERENCE)),
        ("KeyLimitsBody", KeyLimitsBody.model_json_schema(ref_template=_REFERENCE)),
        ("RollBody", RollBody.model_json_schema(ref_template=_REFERENCE)),
        ("ScheduleBody", schedule_body_schema(functions, _REFERENCE)),
        ("PauseBody", PauseBody.model_json_schema(ref_template=_REFERENCE)),
        ("ProblemDetails", ProblemDetails.model_json_schema(ref_template=_REFERENCE)),
    ):
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            name = OPERATION_NAMES[method.upper(), path]
            operation |= {"operationId": name, "summary": summary_of(name)}
    if keys:
        result["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        _require_keys(result)
    _ease_generators(result)
    return result


def _ease_generators(value: Any) -> None:
    """Say what generators of clients need to make good code; what is valid stays the same.

    How wide numbers are: they take 32 bits otherwise, which round times to a minute. And that an object may have any
    values, where a reference to a schema that allows all makes a pointer of each.
    """
    if isinstance(value, list):
        for item in value:
            _ease_generators(item)
    elif isinstance(value, dict):
        if value.get("additionalProperties") == schema_reference("JsonValue"):
            value["additionalProperties"] = True
        if value.get("type") == "number":
            value.setdefault("format", "double")
        elif value.get("type") == "integer" and not abs(value.get("maximum", math.inf)) < 2**31:
            value.setdefault("format", "int64")
        for item in value.values():
            _ease_generators(item)


def _require_keys(document: dict[str, Any]) -> None:
    challenge = {
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
        "content": {MEDIA_TYPE: {"schema": schema_reference("ProblemDetails")}},
    }
    unauthorized = {
        "description": "The API key is missing or wrong",
        **challenge,
    }
    forbidden = {"description": "The API key lacks the scope, or is bound to other queues", **challenge}
    too_many = {
        "description": "The API key exceeds its rate, or too many jobs wait in the queue",
        "headers": {"Retry-After": {"schema": {"type": "string"}}},
        "content": {MEDIA_TYPE: {"schema": schema_reference("ProblemDetails")}},
    }
    for path, operations in document["paths"].items():
        if path in PUBLIC_PATHS:
            continue
        for method, operation in operations.items():
            # OpenAPI 3.1: for other schemes than OAuth, the list names the roles that are needed.
            operation["security"] = [{"key": [rule_of(method.upper(), path).scope]}]
            operation["responses"] |= {"401": unauthorized, "403": forbidden, "429": too_many}
