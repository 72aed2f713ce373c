"""The API's routes, as the dashboard calls them: within the process, as whoever opened the page.

So pages show what the API answers, filtered and hidden alike, and buttons do what it does, checked and noted alike.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response

from manager.http.asgi import FIELDS, Message
from manager.routes.audit import AuditRoutes
from manager.routes.callbacks import CallbackRoutes
from manager.routes.explain import ExplainRoute
from manager.routes.jobs import JobRoutes
from manager.routes.keys import KeyRoutes
from manager.routes.limits import LimitRoutes
from manager.routes.queues import QueueRoutes
from manager.routes.scaler import ScalerRoutes
from manager.routes.schedules import ScheduleRoutes
from manager.routes.workers import WorkerRoutes
from manager.routes.workflows import WorkflowRoutes

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Api:
    """The classes of handlers that the dashboard uses."""

    jobs: JobRoutes
    explain: ExplainRoute
    workflows: WorkflowRoutes
    callbacks: CallbackRoutes
    limits: LimitRoutes
    queues: QueueRoutes
    workers: WorkerRoutes
    schedules: ScheduleRoutes
    scaler: ScalerRoutes
    keys: KeyRoutes
    audit: AuditRoutes


async def ask(
    handler: Handler,
    request: Request,
    *,
    path: Mapping[str, str] | None = None,
    query: bytes = b"",
    body: Mapping[str, Any] | None = None,
) -> Any:
    """Call a handler as the sender of a request, with another query and body; return the document that it answers.

    Args:
        path: the parameters of the handler's path; by default those of the request's.

    Raises:
        Problem, JobQueueError: as the handler does.
    """
    sent = b"" if body is None else orjson.dumps(body)
    fields = {**request.scope[FIELDS], b"content-length": b"%d" % len(sent), b"content-type": b"application/json"}
    fields.pop(b"content-encoding", None)

    async def receive() -> Message:
        return {"type": "http.request", "body": sent, "more_body": False}

    parameters = request.path_params if path is None else path
    scope = {**request.scope, "path_params": parameters, "query_string": query, FIELDS: fields}
    answer = await handler(Request(scope, receive))
    return orjson.loads(answer.body) if answer.body else None
