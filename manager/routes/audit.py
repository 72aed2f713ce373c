"""`/audit`: who changed the configuration, and what it was before and after."""

from fastapi import APIRouter, Request, Response

from jobqueue.audit import read_audit_page
from manager.http.json_response import json_response
from manager.http.query_parameters import Integer, Query, Text
from manager.queue.connection import QueueConnection
from manager.schemas.audit import AuditPage, entry_document
from manager.schemas.openapi import problem_responses

QUERY = Query(
    Integer("limit", "Maximum number of entries", 1, 1000, default=100),
    Text("cursor", "The `cursor` of the page before", "[0-9]{1,18}-[0-9]{1,18}"),
)


class AuditRoutes:
    """Handler of the audit stream's route."""

    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Return the FastAPI router."""
        router = APIRouter(tags=["audit"])
        router.add_api_route(
            "/audit",
            self.list,
            response_model=AuditPage,
            responses=problem_responses(400, 503),
            openapi_extra={"parameters": QUERY.openapi()},
        )
        return router

    async def list(self, request: Request) -> Response:
        """List changes of keys, queues, schedules and the scaler, the latest first. They are kept for 90 days."""
        query = QUERY.parse(request.scope["query_string"])
        before: tuple[int, int] | None = None
        if query["cursor"] is not None:
            milliseconds, number = query["cursor"].split("-")
            before = (int(milliseconds), int(number))
        page, has_more = await read_audit_page(self._queue.service.shards, query["limit"], before)
        cursor = page[-1].id if has_more else None
        return json_response({"entries": [entry_document(entry) for entry in page], "cursor": cursor})
