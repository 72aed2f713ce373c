"""The front of the program: every request passes here, for its key, its log line, its metrics, and its errors."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from jobqueue.errors import JobQueueError
from manager.http.access_log import AccessLog
from manager.http.asgi import Application, Disconnected, Message, Receive, Route, Scope, Send, send_problem
from manager.http.authentication import ApiKeyAuth
from manager.http.problems import INTERNAL, Problem, queue_problem
from manager.http.uvicorn_protocol import RESPOND_EXTENSION
from manager.metrics import Metrics

CLIENT_DISCONNECTED = 499
"""The status that the log and the metrics show where nobody waited for an answer."""

log = logging.getLogger(__name__)


class Gateway:
    """The ASGI application.

    Args:
        lane: the hot routes by method and path: they are asked here, without the framework.
        app: all others.
        keys: API keys.
        metrics: counts requests.
        access_log: gets a line for each request; None for no lines.
    """

    def __init__(
        self,
        fast_routes: Mapping[tuple[str, str], Route],
        app: Application,
        auth: ApiKeyAuth,
        metrics: Metrics,
        access_log: AccessLog | None,
    ) -> None:
        self._lane = fast_routes
        self._app = app
        self._keys = auth
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        name: str = scope["path"]
        route = self._lane.get((scope["method"], name))
        if route is None:
            name, status = await self._pass_on(scope, receive, send)
        else:
            try:
                self._keys.check(scope)
                content = await route(scope, receive)
            except Exception as error:  # noqa: BLE001 - the program's edge: answered, and logged where unforeseen
                status = await _refuse(send, error, scope)
            else:
                status = 200
                pending = scope["extensions"][RESPOND_EXTENSION](route.media_type, content)
                if pending is not None:
                    await pending
        self._note(scope, name, status, time.perf_counter() - began)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> tuple[str, int]:
        # FastAPI's routes know GET; the server leaves the body of a HEAD's answer away.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._keys.check(scope)
            await self._app(inner, receive, note_status)
        except Exception as error:  # noqa: BLE001 - as above
            status = await _refuse(note_status, error, scope, answered=status)
        route: Any = inner.get("route")
        return getattr(route, "path", "unmatched"), status

    def _note(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        method = scope["method"]
        self._metrics.observe(method if route != "unmatched" else "any", route, status, seconds)
        if self._access_log is not None:
            self._access_log.add(method, _raw_path(scope), status, seconds, time.time())


async def _refuse(send: Send, error: Exception, scope: Scope, *, answered: int = 0) -> int:
    match error:
        case Problem():
            problem = error
        case JobQueueError():
            problem = queue_problem(error)
        case Disconnected():
            return CLIENT_DISCONNECTED
        case _:
            # A fault in one request must not reach another.
            log.error("event=request_failed method=%s path=%s", scope["method"], _raw_path(scope), exc_info=error)
            problem = Problem(INTERNAL, "see the manager's log")
    if answered:
        return answered
    await send_problem(send, problem, _raw_path(scope))
    return problem.status


def _raw_path(scope: Scope) -> str:
    # As it came in, percent signs and all: it cannot break a log line.
    return str(scope["raw_path"].decode("ascii", "backslashreplace"))
