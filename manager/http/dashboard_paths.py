"""The paths of the dashboard, which people open in a browser: their sessions and errors are those of pages."""

from manager.http.asgi import FIELDS, Scope

HOME = "/"
PREFIX = "/dashboard/"
QUEUES = "/dashboard/queues"
JOBS = "/dashboard/jobs"
FAILURES = "/dashboard/failures"
WORKERS = "/dashboard/workers"
SCALER = "/dashboard/scaler"
SCHEDULES = "/dashboard/schedules"
WORKFLOWS = "/dashboard/workflows"
CALLBACKS = "/dashboard/callbacks"
LIMITS = "/dashboard/limits"
KEYS = "/dashboard/keys"
AUDIT = "/dashboard/audit"
SIGN_IN = "/dashboard/sign-in"
ISSUER_SIGN_IN = "/dashboard/sign-in/issuer"
ISSUER_CALLBACK = "/dashboard/sign-in/callback"
SIGN_OUT = "/dashboard/sign-out"
STREAM = "/dashboard/events"
STATIC_PATHS = frozenset({"/dashboard/dashboard.css", "/dashboard/dashboard.js", "/dashboard/icon.svg"})
PUBLIC_DASHBOARD_PATHS = STATIC_PATHS | {SIGN_IN, ISSUER_SIGN_IN, ISSUER_CALLBACK, SIGN_OUT}
"""Those that need no key."""


def is_dashboard_path(path: str) -> bool:
    """Return whether a path is one of the dashboard."""
    return path == HOME or path.startswith(PREFIX)


def wants_page(scope: Scope) -> bool:
    """Return whether a request asks for a page of the dashboard, so that an error is answered with one."""
    return is_dashboard_path(scope["path"]) and b"text/html" in scope[FIELDS].get(b"accept", b"")
