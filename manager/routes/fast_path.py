"""The fast routes, which the gateway calls without FastAPI: their methods and paths, and their OpenAPI descriptions.

Hot path: see benchmarks/README.md#http_enqueue.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response

from manager.http.asgi import Receive, Route, Scope, Send, send_body
from manager.routes import batch, enqueue, pull
from manager.schemas.openapi import problem_responses, schema_reference
from manager.schemas.responses import Acknowledged, CompletedResult, WorkId

ENQUEUE = ("PUT", "/enqueue")
PULL = ("POST", "/pullCompleted")
ACKNOWLEDGE = ("POST", "/ackCompleted")
BATCH = ("POST", "/jobs/batch")


def documented_routes(fast_routes: Mapping[tuple[str, str], Route]) -> APIRouter:
    """Return the handlers as FastAPI routes, for the OpenAPI document and for the 405 to other methods."""
    router = APIRouter()
    for (method, path), route in fast_routes.items():
        router.add_api_route(
            path, _endpoint(route), methods=[method], name=route.__class__.__name__, **_DESCRIPTIONS[method, path]
        )
    return router


def _endpoint(route: Route) -> Any:
    async def endpoint() -> Response:
        return _Delegation(route)

    return endpoint


class _Delegation(Response):
    """A response that calls the route when it is sent."""

    def __init__(self, route: Route) -> None:
        super().__init__()
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_body(send, 200, await self._route(scope, receive), self._route.media_type)


_BYTES = {"type": "string", "format": "binary"}
_LINE_RESPONSES = {
    "type": "string",
    "description": 'One line per line of the request, in order: {"id": …} or {"error": {problem details}}.'
    " Blank lines get none."
    ' A line has a "warning" if the job does not run for now, because no worker serves its queue or it is paused.',
}

_DESCRIPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ENQUEUE: {
        "description": "Enqueue SHA-512 of the data, then of the digest, `iterations` times in all.",
        "tags": ["jobs"],
        "response_model": WorkId,
        "responses": problem_responses(400, 409, 413, 415, 503),
        "openapi_extra": {
            "parameters": enqueue.QUERY.openapi(),
            "requestBody": {
                "required": False,
                "description": "The data, as the raw body or as the field `data` of a form",
                "content": {
                    "application/octet-stream": {"schema": _BYTES},
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "properties": {"data": _BYTES},
                            "required": ["data"],
                            "additionalProperties": False,
                        }
                    },
                },
            },
        },
    },
    PULL: {
        "description": "Hand out each result once; with `lease`, again unless it is acknowledged in time.",
        "tags": ["results"],
        "response_model": list[CompletedResult],
        "responses": problem_responses(400, 503),
        "openapi_extra": {"parameters": pull.QUERY.openapi()},
    },
    ACKNOWLEDGE: {
        "description": "Acknowledge leased results, so that they are not handed out again.",
        "tags": ["results"],
        "response_model": Acknowledged,
        "responses": problem_responses(400, 413, 415, 422, 503),
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema_reference("AcknowledgeBody")}},
            }
        },
    },
    BATCH: {
        "description": f"Submit up to {batch.MAX_LINES} jobs, one line of JSON each, as in `POST /jobs`.",
        "tags": ["jobs"],
        "response_class": Response,
        "responses": {
            200: {
                "description": "One line per job, in order",
                "content": {"application/x-ndjson": {"schema": _LINE_RESPONSES}},
            },
            **problem_responses(400, 413, 415, 503),
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/x-ndjson": {"schema": {"type": "string", "pattern": "[!-~]"}}},
            }
        },
    },
}
