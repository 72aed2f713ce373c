"""What keys may do: each route has its rule, and what has none is open to administrators alone."""

import pytest
from fastapi.routing import APIRoute

from jobqueue.functions import FunctionRegistry
from manager.api_keys.caller import Caller
from manager.api_keys.table import KeyTable
from manager.app import build_app, openapi_document
from manager.http.authentication import PUBLIC_PATHS
from manager.http.permissions import DASHBOARD_RULES, RULES, check_permission
from manager.http.problems import Problem
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.reporter import Reporter
from manager.settings import ManagerSettings

CALLBACKS = ("on_connected", "on_jobs_waiting", "on_fatal_error")


def routes() -> set[tuple[str, str]]:
    document = openapi_document(ManagerSettings(), FunctionRegistry.discover(()))
    return {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if path not in PUBLIC_PATHS
    }


def may(caller: Caller, method: str, path: str) -> bool:
    try:
        check_permission(caller, method, path)
    except Problem:
        return False
    return True


def test_every_route_of_the_api_has_a_rule() -> None:
    listed = {(method, path.replace(":path}", "}")) for method, path in RULES}
    assert listed == routes()


def test_every_route_of_the_dashboard_has_a_rule_or_is_for_everybody() -> None:
    queue = QueueConnection("redis://127.0.0.1:1", 1.0, **dict.fromkeys(CALLBACKS, lambda *_: None))
    functions = FunctionRegistry.discover(())
    _, dashboard = build_app(
        ManagerSettings(), functions, queue, Metrics(), Reporter(), None, None, KeyTable(), None, None
    )
    routes = {
        (method, route.path)
        for route in dashboard.router().routes
        if isinstance(route, APIRoute) and route.path not in PUBLIC_PATHS
        for method in route.methods
    }
    assert routes == set(DASHBOARD_RULES)


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        (
            "jobs:write",
            ["PUT /enqueue", "POST /jobs", "POST /jobs/batch", "DELETE /jobs/x", "POST /queues/a/b/requeue-failed"],
            ["GET /jobs", "HEAD /jobs", "POST /pullCompleted", "POST /queues/a/pause", "GET /metrics", "POST /keys"],
        ),
        (
            "jobs:read",
            ["GET /jobs", "HEAD /jobs/x", "GET /status", "GET /workers", "GET /scaler", "GET /metrics"],
            ["PUT /enqueue", "POST /jobs/x/cancel", "GET /keys", "GET /keys\n", "PUT /scaler/limits", "GET /new/x"],
        ),
        ("results:pull", ["POST /pullCompleted", "POST /ackCompleted"], ["GET /jobs/x", "PUT /enqueue"]),
        (
            "admin",
            ["PUT /enqueue", "GET /jobs", "POST /pullCompleted", "POST /keys", "GET /new/x"],
            [],
        ),
    ],
)
def test_a_scope_opens_its_routes_and_no_others(scope: str, allowed: list[str], refused: list[str]) -> None:
    caller = Caller.of("some-id", [scope])
    for request in allowed:
        assert may(caller, *request.split(" ", 1)), request
    for request in refused:
        assert not may(caller, *request.split(" ", 1)), request


def test_a_bound_key_uses_only_routes_that_filter_by_queue() -> None:
    caller = Caller.of("some-id", ["jobs:read", "jobs:write"], ["reports-*"])
    for request in ("GET /jobs", "POST /jobs", "GET /queues", "GET /status", "GET /metrics", "POST /jobs/x/cancel"):
        assert may(caller, *request.split()), request
    for request in ("GET /workers", "GET /scaler", "POST /queues/reports-a/pause", "PUT /enqueue"):
        assert not may(caller, *request.split()), request
    assert may(Caller.of("some-id", ["jobs:write"], ["default"]), "PUT", "/enqueue")


@pytest.mark.parametrize(
    ("path", "methods"), [("/jobs/batch", "POST"), ("/jobs/x", "DELETE, GET, HEAD"), ("/jobs", "GET, POST, HEAD")]
)
def test_a_wrong_method_is_told_the_methods_of_its_path_alone(path: str, methods: str) -> None:
    with pytest.raises(Problem) as error:
        check_permission(Caller.of("some-id", ["jobs:read"]), "PATCH", path)
    assert error.value.headers["Allow"] == methods


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("PATCH", "/jobs/x", 405)])
def test_a_route_that_does_not_exist_or_has_no_rule_does_not_exist_for_the_key(
    method: str, path: str, status: int
) -> None:
    with pytest.raises(Problem) as error:
        check_permission(Caller.of("some-id", ["jobs:read"]), method, path)
    assert error.value.status == status
