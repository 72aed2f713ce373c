"""What the OpenAPI document says beyond the routes' own signatures."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from jobqueue.functions import FunctionRegistry
from manager.http.problems import MEDIA_TYPE
from manager.http.query_parameters import path_parameter
from manager.schemas import submission
from manager.schemas.responses import AcknowledgeBody, ProblemDetails
from manager.schemas.scaler import LimitsBody

_REFERENCE = "#/components/schemas/{model}"
_ABOUT = {
    400: "The query or the body cannot be read",
    404: "There is no such job",
    409: "The state of the job, or another job, forbids it",
    413: "The body is too large",
    415: "The body's media type is not taken",
    422: "The body is not valid: `errors` names the fields",
    503: "Redis is away or full: try again",
}
# A lookup by path: clients may ask for anything, 404 says that there is nothing.
JOB_ID = path_parameter("job_id", "The Work ID", "[A-Za-z0-9_-]+")
QUEUE_NAME = path_parameter("name", "The queue", r"[^/\x00-\x1f\x7f]{1,256}")


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route answers, besides those that every route does."""
    return {
        status: {"description": _ABOUT[status], "content": {MEDIA_TYPE: {"schema": schema_reference("ProblemDetails")}}}
        for status in statuses
    }


def schema_reference(model: str) -> dict[str, str]:
    """Names a schema of the document."""
    return {"$ref": _REFERENCE.format(model=model)}


def request_body(media_type: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    """A body of one media type."""
    return {"required": required, "content": {media_type: {"schema": schema}}}


def build_document(app: FastAPI, functions: FunctionRegistry, *, keys: bool) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        functions: those that jobs may call.
        keys: whether an API key is needed.
    """
    result = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, openapi_version="3.1.0"
    )
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    for name, schema in (
        ("Submission", submission.submission_schema(functions)),
        ("AcknowledgeBody", AcknowledgeBody.model_json_schema(ref_template=_REFERENCE)),
        ("LimitsBody", LimitsBody.model_json_schema(ref_template=_REFERENCE)),
        ("ProblemDetails", ProblemDetails.model_json_schema(ref_template=_REFERENCE)),
    ):
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
    if keys:
        result["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        _require_keys(result)
    return result


def _require_keys(document_: dict[str, Any]) -> None:
    unauthorized = {
        "description": "The API key is missing or wrong",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
        "content": {MEDIA_TYPE: {"schema": schema_reference("ProblemDetails")}},
    }
    for path, operations in document_["paths"].items():
        if path in ("/healthz", "/readyz"):
            continue
        for operation in operations.values():
            operation["security"] = [{"key": []}]
            operation["responses"]["401"] = unauthorized
