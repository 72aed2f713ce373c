"""`/openapi.json`, and `/docs`, a page that shows it and loads nothing from elsewhere.

The page asks for the API key itself, since a browser opens a page without one. Swagger UI's files come from the package
fastapi-offline.
"""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Response

from jobqueue.functions import FunctionRegistry
from manager.http.json_response import json_response

_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    "/docs": ("manager.pages", "docs.html", "text/html"),
    "/docs/page.js": ("manager.pages", "docs.js", "text/javascript"),
    "/docs/swagger-ui.js": ("fastapi_offline", "static/swagger-ui-bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": ("fastapi_offline", "static/swagger-ui.css", "text/css"),
}
PATHS = ("/openapi.json", *_FILES)


class DocumentationRoutes:
    """Handlers.

    Args:
        build_document: returns the OpenAPI document. That takes 0.3 s, and most managers are never asked for it.
        functions: the functions that jobs can call, which may change.
    """

    def __init__(self, build_document: Callable[[], dict[str, Any]], functions: FunctionRegistry) -> None:
        self._build_document = build_document
        self._document: dict[str, Any] | None = None
        self._building = asyncio.Lock()
        self._functions = functions

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/openapi.json", self.show_document)
        for path, (package, name, media_type) in _FILES.items():
            router.add_api_route(path, _show_file(package, name, media_type))
        return router

    async def show_document(self) -> Response:
        """Return the OpenAPI document with the present functions."""
        async with self._building:
            if self._document is None:
                # In a thread: other requests are answered meanwhile.
                self._document = await asyncio.to_thread(self._build_document)
        submission = self._document["components"]["schemas"]["Submission"]
        submission["properties"]["function"]["enum"] = list(self._functions.names)
        return json_response(self._document)


def _show_file(package: str, name: str, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def show() -> Response:
        # The browser asks again each time, so that a new version of the program is a new version of the page.
        headers = {"Content-Security-Policy": _CONTENT_POLICY, "Cache-Control": "no-cache"}
        return Response(files(package).joinpath(name).read_bytes(), media_type=media_type, headers=headers)

    return show
