"""The front of the program: every request passes here, for its key, its log line, its metrics, and its errors."""

import logging
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from jobqueue.errors import JobQueueError
from manager.exchange import Disconnected, Handler, Message, Receive, Scope, Send, send_problem
from manager.keys import Keys
from manager.metrics import Metrics
from manager.problems import INTERNAL, Problem, of_queue_error

CLIENT_GONE = 499
"""The status that the log and the metrics show where nobody waited for an answer."""

log = logging.getLogger(__name__)
access = logging.getLogger("manager.access")


class Front:
    """The ASGI application.

    Args:
        lane: the hot routes by method and path: they go straight to their handlers.
        app: all others.
        keys: API keys.
        metrics: counts requests.
        access_log: whether each request gets a line.
    """

    def __init__(
        self, lane: Mapping[tuple[str, str], Handler], app: Handler, keys: Keys, metrics: Metrics, *, access_log: bool
    ) -> None:
        self._lane = lane
        self._app = app
        self._keys = keys
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._keys.check(scope)
            handler = self._lane.get((scope["method"], scope["path"]))
            if handler is not None:
                await handler(scope, receive, note_status)
            else:
                # FastAPI's routes know GET; the server leaves the body of a HEAD's answer away.
                inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
                await self._app(inner, receive, note_status)
                scope = inner
        except Problem as problem:
            await _answer(note_status, status, problem, scope)
        except JobQueueError as error:
            await _answer(note_status, status, of_queue_error(error), scope)
        except Disconnected:
            status = CLIENT_GONE
        except Exception:
            # The edge of the program: a fault in one request must not reach another.
            log.exception("event=request_failed method=%s path=%s", scope["method"], _raw_path(scope))
            await _answer(note_status, status, Problem(INTERNAL, "see the manager's log"), scope)
        finally:
            self._note(scope, status, perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = scope["path"]
        name = path if (scope["method"], path) in self._lane else getattr(route, "path", "unmatched")
        self._metrics.observe(scope["method"] if name != "unmatched" else "any", name, status, seconds)
        if self._access_log:
            access.info(
                "event=request method=%s path=%s status=%d ms=%.2f",
                scope["method"],
                _raw_path(scope),
                status,
                seconds * 1000,
            )


async def _answer(send: Send, status: int, problem: Problem, scope: Scope) -> None:
    if not status:
        await send_problem(send, problem, _raw_path(scope))


def _raw_path(scope: Scope) -> str:
    # As it came in, percent signs and all: it cannot break a log line.
    return str(scope["raw_path"].decode("ascii", "backslashreplace"))
