"""Which scope each route needs, and which routes a key may use that is bound to queues.

A route that is not listed is open to `admin` alone, so that a new one is never open by mistake.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from starlette.routing import compile_path

from jobqueue.model import DEFAULT_QUEUE
from manager.api_keys.caller import Caller
from manager.api_keys.record import ADMIN, JOBS_READ, JOBS_WRITE, RESULTS_PULL
from manager.http.problems import FORBIDDEN, Problem, http_status_problem


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks of a key.

    Attributes:
        scope: what the key must be allowed to do.
        filters: whether the route shows and changes only what belongs to the queues of a bound key.
        queue: the queue that the route writes to, if it is always the same.
    """

    scope: str
    filters: bool = False
    queue: str | None = None


CLOSED = Rule(ADMIN)
RULES: Mapping[tuple[str, str], Rule] = {
    ("PUT", "/enqueue"): Rule(JOBS_WRITE, filters=True, queue=DEFAULT_QUEUE),
    ("POST", "/jobs"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/jobs/batch"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/jobs/wait"): Rule(JOBS_READ, filters=True),
    ("GET", "/jobs"): Rule(JOBS_READ, filters=True),
    ("GET", "/jobs/{job_id}"): Rule(JOBS_READ, filters=True),
    ("GET", "/jobs/{job_id}/explain"): Rule(JOBS_READ, filters=True),
    ("GET", "/jobs/{job_id}/logs"): Rule(JOBS_READ, filters=True),
    ("GET", "/jobs/{job_id}/events"): Rule(JOBS_READ, filters=True),
    ("GET", "/events"): Rule(JOBS_READ, filters=True),
    ("POST", "/jobs/{job_id}/cancel"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/jobs/{job_id}/requeue"): Rule(JOBS_WRITE, filters=True),
    ("DELETE", "/jobs/{job_id}"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/operations"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/operations"): Rule(JOBS_READ, filters=True),
    ("GET", "/operations/{operation_id}"): Rule(JOBS_READ, filters=True),
    ("POST", "/operations/{operation_id}/cancel"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/workflows"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/workflows/{workflow_id}"): Rule(JOBS_READ, filters=True),
    ("POST", "/workflows/{workflow_id}/cancel"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/workflows/{workflow_id}/retry"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/limits"): Rule(JOBS_READ),
    ("GET", "/limits/{key}"): Rule(JOBS_READ),
    ("PUT", "/limits/{key}"): CLOSED,
    ("DELETE", "/limits/{key}"): CLOSED,
    ("POST", "/pullCompleted"): Rule(RESULTS_PULL),
    ("POST", "/ackCompleted"): Rule(RESULTS_PULL),
    ("GET", "/queues"): Rule(JOBS_READ, filters=True),
    ("POST", "/queues/{name:path}/requeue-failed"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/queues/{name:path}/pause"): CLOSED,
    ("POST", "/queues/{name:path}/resume"): CLOSED,
    ("GET", "/callbacks"): Rule(JOBS_READ, filters=True),
    ("POST", "/callbacks/replay"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/callbacks/listen"): Rule(JOBS_READ),
    ("POST", "/callbacks/listen/ack"): Rule(JOBS_READ),
    ("GET", "/callbacks/{callback_id}"): Rule(JOBS_READ, filters=True),
    ("POST", "/callbacks/{callback_id}/retry"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/schedules"): Rule(JOBS_READ, filters=True),
    ("GET", "/schedules/preview"): Rule(JOBS_READ, filters=True),
    ("GET", "/schedules/{name}"): Rule(JOBS_READ, filters=True),
    ("PUT", "/schedules/{name}"): Rule(JOBS_WRITE, filters=True),
    ("DELETE", "/schedules/{name}"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/schedules/{name}/pause"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/schedules/{name}/resume"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/schedules/{name}/trigger"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/status"): Rule(JOBS_READ, filters=True),
    ("GET", "/workers"): Rule(JOBS_READ),
    ("GET", "/metrics"): Rule(JOBS_READ, filters=True),
    ("POST", "/workers/{name:path}/drain"): CLOSED,
    ("GET", "/scaler"): Rule(JOBS_READ),
    ("POST", "/scaler/pause"): CLOSED,
    ("POST", "/scaler/resume"): CLOSED,
    ("PUT", "/scaler/limits"): CLOSED,
    ("GET", "/audit"): CLOSED,
    ("GET", "/keys"): CLOSED,
    ("POST", "/keys"): CLOSED,
    ("POST", "/keys/{key_id}/roll"): CLOSED,
    ("PUT", "/keys/{key_id}/limits"): CLOSED,
    ("DELETE", "/keys/{key_id}"): CLOSED,
}
"""By method and path. `HEAD` is as `GET`. A test compares them with the routes of the API."""
DASHBOARD_RULES: Mapping[tuple[str, str], Rule] = {
    ("GET", "/"): Rule(JOBS_READ, filters=True),
    ("GET", "/dashboard/events"): Rule(JOBS_READ, filters=True),
    ("GET", "/dashboard/queues"): Rule(JOBS_READ, filters=True),
    ("POST", "/dashboard/queues/{name:path}/pause"): CLOSED,
    ("POST", "/dashboard/queues/{name:path}/resume"): CLOSED,
    ("POST", "/dashboard/queues/{name:path}/requeue-failed"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/dashboard/jobs"): Rule(JOBS_READ, filters=True),
    ("GET", "/dashboard/jobs/{job_id}"): Rule(JOBS_READ, filters=True),
    ("POST", "/dashboard/jobs/{job_id}/cancel"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/jobs/{job_id}/requeue"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/jobs/{job_id}/delete"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/dashboard/failures"): Rule(JOBS_READ, filters=True),
    ("POST", "/dashboard/failures/requeue"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/failures/delete"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/dashboard/workers"): Rule(JOBS_READ),
    ("POST", "/dashboard/workers/{name:path}/drain"): CLOSED,
    ("GET", "/dashboard/scaler"): Rule(JOBS_READ),
    ("POST", "/dashboard/scaler/pause"): CLOSED,
    ("POST", "/dashboard/scaler/resume"): CLOSED,
    ("POST", "/dashboard/scaler/limits"): CLOSED,
    ("GET", "/dashboard/schedules"): Rule(JOBS_READ, filters=True),
    ("GET", "/dashboard/schedules/{name}"): Rule(JOBS_READ, filters=True),
    ("POST", "/dashboard/schedules/{name}/pause"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/schedules/{name}/resume"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/schedules/{name}/trigger"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/schedules/{name}/delete"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/dashboard/workflows"): Rule(JOBS_READ, filters=True),
    ("GET", "/dashboard/workflows/{workflow_id}"): Rule(JOBS_READ, filters=True),
    ("POST", "/dashboard/workflows/{workflow_id}/cancel"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/workflows/{workflow_id}/retry"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/dashboard/callbacks"): Rule(JOBS_READ, filters=True),
    ("POST", "/dashboard/callbacks/replay"): Rule(JOBS_WRITE, filters=True),
    ("POST", "/dashboard/callbacks/{callback_id}/retry"): Rule(JOBS_WRITE, filters=True),
    ("GET", "/dashboard/limits"): Rule(JOBS_READ),
    ("POST", "/dashboard/limits"): CLOSED,
    ("GET", "/dashboard/keys"): CLOSED,
    ("POST", "/dashboard/keys/{key_id}/revoke"): CLOSED,
    ("GET", "/dashboard/audit"): CLOSED,
}
"""Those of the dashboard: each as the route of the API that shows or does the same."""

_ANY_KEY = frozenset({("GET", "/openapi.json"), ("OPTIONS", "*")})
_ALL_RULES = {**RULES, **DASHBOARD_RULES}
_PATTERNS = [(compile_path(path)[0], path, method, rule) for (method, path), rule in _ALL_RULES.items()]


def rule_of(method: str, path: str) -> Rule:
    """Return the rule of a route, by its path with placeholders."""
    return _ALL_RULES.get((method, path), CLOSED)


def allows(caller: Caller, method: str, path: str) -> bool:
    """Return whether a key may use a route, by its path with placeholders, for some queue at least."""
    rule = rule_of(method, path)
    return rule.scope in caller.scopes and (rule.filters or not caller.is_bound)


def check_permission(caller: Caller, method: str, path: str) -> None:
    """Check that a key may use a route.

    Raises:
        Problem: 403; 404 or 405, there is no such route, or none that is open to others than administrators.
    """
    method = "GET" if method == "HEAD" else method
    if (method, path) in _ANY_KEY:
        return
    rule = _ALL_RULES.get((method, path)) or _match(method, path)
    if rule is None:
        if ADMIN not in caller.scopes:
            allowed = _methods_of(path)
            raise http_status_problem(405 if allowed else 404, quote(path), allowed)
        return
    if rule.scope not in caller.scopes:
        raise _forbidden(caller, f"lacks the scope {rule.scope}, which {method} {quote(path)} needs", rule.scope)
    if caller.is_bound and not rule.filters:
        raise _forbidden(caller, f"is bound to queues, and {method} {quote(path)} is not limited to them")
    if rule.queue is not None and not caller.sees(rule.queue):
        raise queue_forbidden(caller, rule.queue)


def _match(method: str, path: str) -> Rule | None:
    for pattern, _, route_method, rule in _PATTERNS:
        if route_method == method and pattern.match(path):
            return rule
    return None


def _methods_of(path: str) -> list[str]:
    """Return the methods of the first route that matches the path, which is the one that would answer."""
    route = next((template for pattern, template, _, _ in _PATTERNS if pattern.match(path)), None)
    methods = sorted(method for method, template in _ALL_RULES if template == route)
    return methods + ["HEAD"] * ("GET" in methods)


def queue_forbidden(caller: Caller, queue: str) -> Problem:
    """Return the 403 for a job that is submitted to a queue that the key is not bound to."""
    names = ", ".join(caller.queues)
    return _forbidden(caller, f"is bound to {names}: it cannot submit to queue {queue!r}")


def _forbidden(caller: Caller, reason: str, scope: str | None = None) -> Problem:
    challenge = 'Bearer realm="workmanager", error="insufficient_scope"'
    if scope is not None:
        challenge += f', scope="{scope}"'
    return Problem(FORBIDDEN, f"{caller.name} {reason}", headers={"WWW-Authenticate": challenge})
