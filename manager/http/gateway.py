"""The outermost ASGI application: check host, origin and API key, call the route, log and count the request.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import time
from collections.abc import Mapping
from typing import Any

from manager.http.access_log import AccessLog
from manager.http.asgi import (
    FIELDS,
    HEAD,
    REFUSAL,
    UNDELIVERED,
    Application,
    FastSend,
    Message,
    Receive,
    Route,
    Scope,
    raw_path,
)
from manager.http.authentication import CALLER, ApiKeyAuth
from manager.http.content_encoding import decoded
from manager.http.error_responses import CLIENT_DISCONNECTED, ErrorPages, send_error
from manager.http.host_check import HostCheck
from manager.http.request_origin import JOB_ID, PROXIES, REQUEST_ID, RequestIds, TrustedProxies
from manager.http.request_traces import RequestTraces
from manager.metrics.requests import Metrics

METHODS = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
"""Of all routes together, for `OPTIONS *`."""


class Gateway:
    """Answers fast routes itself and delegates all others to FastAPI.

    Args:
        fast_routes: routes by method and path that are called without the framework.
        app: FastAPI with all other routes.
        hosts: checks the host that the client asked, and the web page that asks.
        auth: checks API keys.
        metrics: counts requests.
        access_log: receives a line for each request; None for no access log.
        proxies: those that are believed whom they forward requests for.
        error_pages: makes the pages that people get of the dashboard if something fails.
        traces: makes the spans of requests; None if nothing is traced.
    """

    def __init__(
        self,
        fast_routes: Mapping[tuple[str, str], Route],
        app: Application,
        hosts: HostCheck,
        auth: ApiKeyAuth,
        metrics: Metrics,
        access_log: AccessLog | None,
        proxies: TrustedProxies,
        error_pages: ErrorPages | None = None,
        traces: RequestTraces | None = None,
    ) -> None:
        self._fast_routes = fast_routes
        self._app = app
        self._hosts = hosts
        self._auth = auth
        self._metrics = metrics
        self._access_log = access_log
        self._proxies = proxies
        self._error_pages = error_pages
        self._traces = traces
        self._request_ids = RequestIds()

    async def __call__(self, scope: Scope, receive: Receive, send: FastSend) -> None:
        started = time.perf_counter()
        scope[REQUEST_ID] = self._request_ids.of(scope[FIELDS])
        if self._traces is not None:
            self._traces.begin(scope)
        name: str = scope["path"]
        route = self._fast_routes.get((scope["method"], name))
        if route is None:
            name, status = await self._delegate(scope, receive, send)
        else:
            try:
                content = await route(scope, self._admit(scope, receive))
                pending = send.respond(route.media_type, content)
                if pending is not None:
                    await pending
                status = 200
            except Exception as error:  # noqa: BLE001 - the program's edge: answered, and logged if unexpected
                status = await send_error(send, error, scope)
                if status == CLIENT_DISCONNECTED and UNDELIVERED in scope:
                    scope[UNDELIVERED]()
        self._record(scope, name, status, time.perf_counter() - started)

    def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Return what the route gets the body from.

        Raises:
            Problem: the request is not allowed, or its body is encoded in an unknown way.
        """
        fields = scope[FIELDS]
        self._hosts.check(scope["path"], fields)
        self._auth.check(scope)
        return decoded(fields, receive) if b"content-encoding" in fields else receive

    async def _delegate(self, scope: Scope, receive: Receive, send: FastSend) -> tuple[str, int]:
        scope[PROXIES] = self._proxies
        inner = scope
        status = 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if REFUSAL in scope:
                raise scope[REFUSAL]
            receive = self._admit(scope, receive)
            if scope["method"] == "HEAD":
                # FastAPI's routes know only GET; the server omits the body of the response to a HEAD request.
                inner = {**scope, "method": "GET", HEAD: True}
            if scope["path"] == "*":
                await send_and_note_status(
                    {"type": "http.response.start", "status": 204, "headers": [(b"allow", METHODS.encode())]}
                )
                await send_and_note_status({"type": "http.response.body"})
            else:
                await self._app(inner, receive, send_and_note_status)
        except Exception as error:  # noqa: BLE001 - as above
            status = await send_error(send_and_note_status, error, scope, sent_status=status, pages=self._error_pages)
        route: Any = inner.get("route")
        return getattr(route, "path", "unmatched"), status

    def _record(self, scope: Scope, route: str, status: int, seconds: float) -> None:
        method = scope["method"]
        self._metrics.observe(method if route != "unmatched" else "any", route, status, seconds)
        trace_id = None if self._traces is None else self._traces.end(scope, status)
        if self._access_log is not None:
            key_id = scope[CALLER].key_id if CALLER in scope else None
            client = self._proxies.client_of(scope)
            request_id = scope[REQUEST_ID].decode()
            now, path, job_id = time.time(), raw_path(scope), scope.get(JOB_ID)
            self._access_log.add(method, path, status, seconds, now, client, request_id, key_id, job_id, trace_id)
