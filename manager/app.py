"""Compose a manager's ASGI application: routes, error responses, OpenAPI document, gateway."""

from collections.abc import Mapping, Set
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from jobqueue.errors import JobQueueError
from jobqueue.functions import FunctionRegistry
from manager.api_keys.table import KeyTable
from manager.callbacks.signature import parse_secrets
from manager.cluster.reconciler import ClusterReconciler
from manager.dashboard.api import Api
from manager.dashboard.attention import Attention
from manager.dashboard.dashboard import Dashboard
from manager.dashboard.job_pages import JobReader
from manager.dashboard.rendering import Pages
from manager.http.access_log import AccessLog
from manager.http.asgi import Route
from manager.http.authentication import ApiKeyAuth, caller_of
from manager.http.compressed_pages import with_compressed_pages
from manager.http.dashboard_paths import wants_page
from manager.http.gateway import Gateway
from manager.http.host_check import HostCheck
from manager.http.permissions import DASHBOARD_RULES
from manager.http.problems import INTERNAL, MEDIA_TYPE, Problem, http_status_problem, queue_problem
from manager.http.request_origin import TrustedProxies
from manager.http.request_traces import RequestTraces
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.queue.watched_servers import WatchedServers
from manager.reporter import Reporter
from manager.routes import documentation, fast_path
from manager.routes.audit import AuditRoutes
from manager.routes.batch import BatchRoute
from manager.routes.callbacks import CallbackRoutes
from manager.routes.documentation import DocumentationRoutes
from manager.routes.enqueue import EnqueueRoute
from manager.routes.events import EventRoutes
from manager.routes.explain import ExplainRoute
from manager.routes.health import HealthRoutes
from manager.routes.job_events import JobEventRoutes
from manager.routes.job_wait import JobWaitRoute
from manager.routes.jobs import JobRoutes
from manager.routes.keys import KeyRoutes
from manager.routes.limits import LimitRoutes
from manager.routes.metrics import MetricsRoute
from manager.routes.operations import OperationRoutes
from manager.routes.pull import AcknowledgeRoute, PullRoute
from manager.routes.queues import QueueRoutes
from manager.routes.scaler import ScalerRoutes
from manager.routes.schedules import ScheduleRoutes
from manager.routes.status import StatusRoutes
from manager.routes.submit import SubmitRoute
from manager.routes.workers import WorkerRoutes
from manager.routes.workflows import WorkflowRoutes
from manager.scaler_factory import limits_from_settings
from manager.schemas import openapi
from manager.schemas.callback_check import CallbackCheck
from manager.schemas.job_factory import JobFactory
from manager.settings import ManagerSettings, callback_guard
from manager.siblings.group import ProcessGroup

if TYPE_CHECKING:
    from manager.jwt.code_flow import CodeFlow
    from manager.jwt.verifier import JwtVerifier
    from processes.tracing.spans import Tracing

DESCRIPTION = (
    "Submit jobs and pull their results. Errors are RFC 9457 problem details. Rejected requests change nothing."
)


def build_app(
    settings: ManagerSettings,
    functions: FunctionRegistry,
    queue: QueueConnection,
    metrics: Metrics,
    reporter: Reporter,
    access_log: AccessLog | None,
    reconciler: ClusterReconciler | None,
    key_table: KeyTable,
    jwt: "JwtVerifier | None",
    code_flow: "CodeFlow | None",
    tracing: "Tracing | None" = None,
    group: ProcessGroup | None = None,
) -> tuple[Gateway, Dashboard]:
    """Return the ASGI application, and the dashboard in it, which must be stopped.

    Args:
        reporter: knows whether this manager tells of the whole queue.
        reconciler: if given, the application also reports the state of the cluster that it administers.
        jwt: if given, requests can bring tokens of its issuer instead of API keys.
        code_flow: if given, people sign in to the dashboard at its issuer.
        tracing: makes the spans of submissions; None if nothing is traced.
        group: this manager's processes, if there are several.
    """
    group = group or ProcessGroup()
    servers = WatchedServers(queue, reconciler, group)
    api, fast_routes, routes = _build_api(
        settings, functions, queue, metrics, reporter, reconciler, key_table, group, servers
    )
    methods = documented_methods(api)

    def build_document() -> dict[str, Any]:
        document = openapi.build_document(api, functions, keys=bool(settings.api_keys))
        return document | ({"servers": [{"url": settings.root_path}]} if settings.root_path else {})

    api.include_router(DocumentationRoutes(build_document, functions).router())
    hosts = HostCheck(settings.allowed_hosts, has_keys=bool(settings.api_keys))
    auth = ApiKeyAuth(settings.api_keys, key_table, jwt, None if code_flow is None else code_flow.issuer)
    pages = Pages(settings.root_path, asks_for_keys=auth.asks_for_keys)
    dashboard = Dashboard(
        *(queue, servers, Attention(queue, functions), auth, key_table),
        pages=pages,
        root_path=settings.root_path,
        price_per_hour=settings.price_per_hour,
        reader=JobReader(queue, functions, settings.hide_arguments),
        api=routes,
        code_flow=code_flow,
    )
    api.include_router(dashboard.router())
    _add_errors(api, methods, pages)
    proxies = TrustedProxies(settings.trusted_proxies)
    traces = None if tracing is None else RequestTraces(tracing)
    app = with_compressed_pages(api)
    return Gateway(fast_routes, app, hosts, auth, metrics, access_log, proxies, pages, traces), dashboard


def openapi_document(settings: ManagerSettings, functions: FunctionRegistry) -> dict[str, Any]:
    """Return the OpenAPI document of a manager with these settings, without starting one."""

    async def ignore(_: object) -> None: ...

    queue = QueueConnection(
        settings.redis_url,
        settings.lease_seconds,
        on_connected=ignore,
        on_jobs_waiting=lambda: None,
        on_fatal_error=lambda _, __: None,
    )
    group = ProcessGroup()
    servers = WatchedServers(queue, None, group)
    api, _, _ = _build_api(settings, functions, queue, Metrics(), Reporter(), None, KeyTable(), group, servers)
    return openapi.build_document(api, functions, keys=bool(settings.api_keys))


def _build_api(
    settings: ManagerSettings,
    functions: FunctionRegistry,
    queue: QueueConnection,
    metrics: Metrics,
    reporter: Reporter,
    reconciler: ClusterReconciler | None,
    key_table: KeyTable,
    group: ProcessGroup,
    servers: WatchedServers,
) -> tuple[FastAPI, dict[tuple[str, str], Route], Api]:
    # A manager without keys is reached from its own machine alone: there, callbacks need no signature.
    may_be_sent = bool(settings.callback_secrets) or not settings.api_keys
    callbacks = CallbackCheck(callback_guard(settings), may_be_sent=may_be_sent)
    job_factory = JobFactory(functions, settings.max_payload_bytes, callbacks)
    fast_routes: dict[tuple[str, str], Route] = {
        fast_path.ENQUEUE: EnqueueRoute(queue, settings.max_payload_bytes, metrics, callbacks),
        fast_path.PULL: PullRoute(queue, metrics, key_table),
        fast_path.ACKNOWLEDGE: AcknowledgeRoute(queue),
        fast_path.BATCH: BatchRoute(queue, job_factory, metrics),
    }
    api = FastAPI(
        title="workmanager",
        version=_version(),
        description=DESCRIPTION,
        redirect_slashes=False,
        redoc_url=None,
        openapi_url=None,
    )
    # `/jobs/batch` must come before `/jobs/{job_id}`, which matches it as well.
    api.include_router(fast_path.documented_routes(fast_routes))
    routes = Api(
        jobs=JobRoutes(queue, functions, settings.hide_arguments, key_table),
        explain=ExplainRoute(queue, functions, settings.hide_arguments, limits_from_settings(settings)),
        workflows=WorkflowRoutes(queue, job_factory, metrics),
        callbacks=CallbackRoutes(queue, parse_secrets(settings.callback_secrets)),
        limits=LimitRoutes(queue),
        queues=QueueRoutes(queue),
        workers=WorkerRoutes(queue),
        schedules=ScheduleRoutes(queue, job_factory, functions, settings.hide_arguments),
        scaler=ScalerRoutes(queue, settings),
        keys=KeyRoutes(queue, key_table, asks_for_keys=bool(settings.api_keys)),
        audit=AuditRoutes(queue),
    )
    api.include_router(JobWaitRoute(queue, key_table).router())
    api.include_router(SubmitRoute(queue, job_factory, metrics).router())
    api.include_router(routes.jobs.router())
    api.include_router(JobEventRoutes(queue, key_table, metrics).router())
    api.include_router(EventRoutes(queue, key_table, metrics).router())
    api.include_router(routes.explain.router())
    api.include_router(routes.workflows.router())
    api.include_router(routes.callbacks.router())
    api.include_router(routes.limits.router())
    api.include_router(routes.queues.router())
    api.include_router(routes.schedules.router())
    api.include_router(OperationRoutes(queue).router())
    api.include_router(routes.workers.router())
    api.include_router(StatusRoutes(queue, functions).router())
    api.include_router(routes.scaler.router())
    api.include_router(routes.keys.router())
    api.include_router(routes.audit.router())
    api.include_router(HealthRoutes(queue, servers).router())
    api.include_router(MetricsRoute(queue, metrics, reconciler, reporter, group).router())
    return api, fast_routes, routes


def documented_methods(app: FastAPI) -> dict[str, set[str]]:
    """Return the methods of each path of the OpenAPI document, in the order in which a request is matched."""
    methods: dict[str, set[str]] = {}
    for route in iter_route_contexts(app.routes):
        path, names = route.path_format, route.methods
        if isinstance(route.original_route, APIRoute) and route.include_in_schema and path and names:
            methods.setdefault(path, set()).update(names)
    return methods


def _add_errors(app: FastAPI, documented: Mapping[str, Set[str]], pages: Pages) -> None:
    methods = [(compile_path(path)[0], sorted(names)) for path, names in documented.items()]
    methods += [(compile_path(path)[0], ["GET"]) for path in documentation.PATHS]
    methods += [(compile_path(path)[0], [method]) for method, path in DASHBOARD_RULES]

    async def answer_error(request: Request, error: Exception) -> Response:
        path = request.scope["raw_path"].decode("ascii", "backslashreplace")
        match error:
            case Problem():
                problem = error
            case JobQueueError():
                problem = queue_problem(error)
            case HTTPException():
                # The first matching path is the one that FastAPI would use.
                allowed = next((names for regex, names in methods if regex.match(request.scope["path"])), [])
                problem = http_status_problem(error.status_code, path, allowed + ["HEAD"] * ("GET" in allowed))
            case _:
                # The gateway logs it.
                problem = Problem(INTERNAL, "see the manager's log")
        if wants_page(request.scope):
            body, headers = pages.error_page(problem, caller_of(request.scope))
            return Response(body, problem.status, headers, "text/html")
        return Response(problem.to_json(path), problem.status, problem.headers, MEDIA_TYPE)

    for error_class in (Exception, Problem, JobQueueError, HTTPException):
        app.add_exception_handler(error_class, answer_error)


def _version() -> str:
    try:
        return version("workmanager")
    except PackageNotFoundError:
        # Running from a source tree that is not installed.
        return "0"
