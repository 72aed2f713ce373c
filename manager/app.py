"""Puts the HTTP node together: routes, errors, OpenAPI document, front."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from jobqueue.errors import JobQueueError
from jobqueue.functions import FunctionRegistry
from manager.cluster.reconciler import ClusterReconciler
from manager.http.access_log import AccessLog
from manager.http.asgi import Route
from manager.http.authentication import ApiKeyAuth
from manager.http.gateway import Gateway
from manager.http.problems import INTERNAL, MEDIA_TYPE, Problem, http_status_problem, queue_problem
from manager.metrics import Metrics
from manager.queue.service import QueueConnection
from manager.routes import fast_path
from manager.routes.batch import BatchRoute
from manager.routes.enqueue import EnqueueRoute
from manager.routes.health import HealthRoutes
from manager.routes.jobs import JobRoutes
from manager.routes.pull import AcknowledgeRoute, PullRoute
from manager.routes.queues import QueueRoutes
from manager.routes.scaler import ScalerRoutes
from manager.schemas import openapi
from manager.schemas.job_factory import JobFactory
from manager.settings import ManagerSettings

DESCRIPTION = "Jobs in, results out. Errors are RFC 9457 problem details. Bad requests change nothing."


def build_app(
    settings: ManagerSettings,
    functions: FunctionRegistry,
    link: QueueConnection,
    metrics: Metrics,
    access_log: AccessLog | None,
    steward: ClusterReconciler | None,
) -> Gateway:
    """The ASGI application; with a `steward` it shows how the cluster is that this one administers."""
    reader = JobFactory(functions, settings.max_payload_bytes)
    lane: dict[tuple[str, str], Route] = {
        fast_path.ENQUEUE: EnqueueRoute(link, settings.max_payload_bytes, metrics),
        fast_path.PULL: PullRoute(link, metrics),
        fast_path.ACKNOWLEDGE: AcknowledgeRoute(link),
        fast_path.BATCH: BatchRoute(link, reader, metrics),
    }
    app = FastAPI(
        title="workmanager",
        version=_version(),
        description=DESCRIPTION,
        redirect_slashes=False,
        redoc_url=None,
        openapi_url=None,
    )
    # `/jobs/batch` must come before `/jobs/{job_id}`, which it would match.
    app.include_router(fast_path.documented_routes(lane))
    app.include_router(JobRoutes(link, reader, functions, metrics).router())
    app.include_router(QueueRoutes(link).router())
    app.include_router(ScalerRoutes(link, settings).router())
    app.include_router(HealthRoutes(link, metrics, steward).router())
    document = openapi.build_document(app, functions, keys=bool(settings.api_keys))
    _add_documentation(app, document)
    _add_errors(app, document["paths"])
    return Gateway(lane, app, ApiKeyAuth(settings.api_keys), metrics, access_log)


def _add_documentation(app: FastAPI, document: Mapping[str, Any]) -> None:
    async def show() -> JSONResponse:
        return JSONResponse(document)

    async def show_page() -> HTMLResponse:
        return get_swagger_ui_html(openapi_url="/openapi.json", title=app.title)

    app.add_api_route("/openapi.json", show, include_in_schema=False)
    app.add_api_route("/docs", show_page, include_in_schema=False)


def _add_errors(app: FastAPI, paths: Mapping[str, Mapping[str, Any]]) -> None:
    methods = [(compile_path(path)[0], sorted(map(str.upper, operations))) for path, operations in paths.items()]
    methods += [(compile_path(path)[0], ["GET"]) for path in ("/openapi.json", "/docs")]

    async def answer(request: Request, error: Exception) -> Response:
        path = request.scope["raw_path"].decode("ascii", "backslashreplace")
        match error:
            case Problem():
                problem = error
            case JobQueueError():
                problem = queue_problem(error)
            case HTTPException():
                # The first route that fits is the one that would be asked.
                allowed = next((names for regex, names in methods if regex.match(request.scope["path"])), [])
                problem = http_status_problem(error.status_code, path, allowed + ["HEAD"] * ("GET" in allowed))
            case _:
                # The front logs it.
                problem = Problem(INTERNAL, "see the manager's log")
        return Response(problem.to_json(path), problem.status, problem.headers, MEDIA_TYPE)

    for kind in (Exception, Problem, JobQueueError, HTTPException):
        app.add_exception_handler(kind, answer)


def _version() -> str:
    try:
        return version("workmanager")
    except PackageNotFoundError:
        # Run from a source tree that is not installed.
        return "0"
