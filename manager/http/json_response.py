"""JSON responses of FastAPI routes, encoded by orjson without FastAPI's validation."""

import orjson
from fastapi import Response


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with the value as its body."""
    return Response(orjson.dumps(value), status, headers, "application/json")
