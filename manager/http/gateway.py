"""The outermost ASGI application: check the API key, call the route, log and count the request.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import time
from collections.abc import Mapping
from typing import Any

from manager.http.access_log import AccessLog
from manager.http.asgi import Application, Message, Receive, Route, Scope, Send, raw_path
from manager.http.authentication import ApiKeyAuth
from manager.http.error_responses import send_error
from manager.http.uvicorn_protocol import RESPOND_EXTENSION
from manager.metrics import Metrics


class Gateway:
    """Answers fast routes itself and delegates all others to FastAPI.

    Args:
        fast_routes: routes by method and path that are called without the framework.
        app: FastAPI with all other routes.
        auth: checks API keys.
        metrics: counts requests.
        access_log: receives a line for each request; None for no access log.
    """

    def __init__(
        self,
        fast_routes: Mapping[tuple[str, str], Route],
        app: Application,
        auth: ApiKeyAuth,
        metrics: Metrics,
        access_log: AccessLog | None,
    ) -> None:
        self._fast_routes = fast_routes
        self._app = app
        self._auth = auth
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        name: str = scope["path"]
        route = self._fast_routes.get((scope["method"], name))
        if route is None:
            name, status = await self._delegate(scope, receive, send)
        else:
            try:
                self._auth.check(scope)
                content = await route(scope, receive)
            except Exception as error:  # noqa: BLE001 - the program's edge: answered, and logged if unexpected
                status = await send_error(send, error, scope)
            else:
                status = 200
                pending = scope["extensions"][RESPOND_EXTENSION](route.media_type, content)
                if pending is not None:
                    await pending
        self._record(scope, name, status, time.perf_counter() - started)

    async def _delegate(self, scope: Scope, receive: Receive, send: Send) -> tuple[str, int]:
        # FastAPI's routes know only GET; the server omits the body of the response to a HEAD request.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        status = 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._auth.check(scope)
            await self._app(inner, receive, send_and_note_status)
        except Exception as error:  # noqa: BLE001 - as above
            status = await send_error(send_and_note_status, error, scope, sent_status=status)
        route: Any = inner.get("route")
        return getattr(route, "path", "unmatched"), status

    def _record(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        method = scope["method"]
        self._metrics.observe(method if route != "unmatched" else "any", route, status, seconds)
        if self._access_log is not None:
            self._access_log.add(method, raw_path(scope), status, seconds, time.time())
