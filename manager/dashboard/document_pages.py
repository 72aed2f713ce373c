"""The pages that show documents of the API: the scaler, schedules, keys and the audit stream."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response

from jobqueue.inspection.callback_listing import CallbackStatus
from manager.dashboard.api import Api, Handler, ask
from manager.dashboard.forms import go_to, notice_of, page_query, read_form
from manager.dashboard.rendering import Pages, quote_part
from manager.dashboard.sampler import Sampler
from manager.dashboard.views.findings import silent_seconds
from manager.dashboard.views.scaler_instances import instances_shown
from manager.dashboard.views.scaler_timeline import draw_timeline
from manager.dashboard.views.workflow_graph import draw_workflow
from manager.http.authentication import caller_of
from manager.http.dashboard_paths import AUDIT, CALLBACKS, KEYS, LIMITS, SCALER, SCHEDULES, WORKFLOWS
from manager.http.problems import INVALID, Problem
from manager.http.query_parameters import Choice, Text
from manager.routes.schedule_preview import preview
from manager.routes.schedules import UPCOMING
from manager.schedules.zones import UTC_NAME

LIMIT_ROWS = 100
CALLBACK_ROWS = 50
AUDIT_ENTRIES = 100
_ANYTHING = r"[^\x00-\x1f\x7f]{0,256}"
PLAIN_QUERY = page_query()
AUDIT_QUERY = page_query(Text("cursor", "Where the page begins", "[0-9]{1,18}-[0-9]{1,18}"))
SCHEDULES_QUERY = page_query(
    Text("cron", "The expression to preview", _ANYTHING), Text("timezone", "Its time zone", _ANYTHING)
)
WORKFLOWS_QUERY = page_query(Text("id", "The workflow to go to", _ANYTHING))
CALLBACKS_QUERY = page_query(
    Choice("status", "The status", ("", *CallbackStatus)),
    Text("host", "Host and port", r"[^\x00-\x1f\x7f]{0,300}"),
    Text("cursor", "Where the page begins", "[A-Za-z0-9_-]{0,1024}"),
)
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


class DocumentPages:
    """Handlers.

    Args:
        price_per_hour: of an instance; 0 if it is not known.
    """

    def __init__(self, pages: Pages, sampler: Sampler, api: Api, price_per_hour: float) -> None:
        self._pages = pages
        self._sampler = sampler
        self._api = api
        self._price_per_hour = price_per_hour

    async def scaler(self, request: Request) -> Response:
        """Show the scaler."""
        if PLAIN_QUERY.parse(request.scope["query_string"])["done"] is not None:
            await self._sampler.current(changed=True)
        last = self._sampler.last_of_many()
        if last is not None and last.scaler is not None:
            found, sample = self._api.scaler.document(last.scaler), last
        else:
            found, sample = await asyncio.gather(ask(self._api.scaler.show, request), self._sampler.current())
        timeline = draw_timeline(sample.history, found["decisions"], self._price_per_hour)
        instances = instances_shown(found["instances"])
        view = sample.scaler
        values = {
            "scaler": found,
            "silent_seconds": None if view is None or view.leadership is None else silent_seconds(view),
            "held_back": view is not None and view.is_held_back,
            "instances": instances,
            "timeline": timeline,
            "price_per_hour": self._price_per_hour,
        }
        return self._page(request, "scaler.html", SCALER, **values)

    async def pause_scaler(self, request: Request) -> Response:
        """Pause it."""
        return await self._change(request, self._api.scaler.pause, SCALER, "scaler-paused")

    async def resume_scaler(self, request: Request) -> Response:
        """Resume it."""
        return await self._change(request, self._api.scaler.resume, SCALER, "scaler-resumed")

    async def limit_scaler(self, request: Request) -> Response:
        """Set its limits; those of the managers' settings hold where a field is empty."""
        form = await read_form(request)
        limits: dict[str, float | int | None] = {}
        for name, kind in (("min_workers", int), ("max_workers", int), ("budget_per_hour", float)):
            if name in form:
                limits[name] = _number(name, form[name].strip(), kind)
        await ask(self._api.scaler.limit, request, body=limits)
        return go_to(SCALER, "limits-set")

    async def schedules(self, request: Request) -> Response:
        """Show the schedules, and when an expression would run if one was asked for."""
        query = SCHEDULES_QUERY.parse(request.scope["query_string"])
        cron, timezone = (query["cron"] or "").strip(), (query["timezone"] or "").strip() or UTC_NAME
        found = await ask(self._api.schedules.list, request)
        previewed, problem = None, None
        if cron:
            asked = urlencode({"cron": cron, "timezone": timezone, "limit": UPCOMING})
            try:
                previewed = await ask(preview, request, query=asked.encode())
            except Problem as refused:
                problem = refused.detail
        return self._pages.page(
            *("schedules.html", caller_of(request.scope)),
            here=SCHEDULES,
            notice=notice_of(query["done"], query["n"]),
            found=found,
            cron=cron,
            timezone=timezone,
            previewed=previewed,
            problem=problem,
        )

    async def schedule(self, request: Request) -> Response:
        """Show a schedule."""
        found = await ask(self._api.schedules.show, request)
        return self._page(request, "schedule.html", SCHEDULES, schedule=found)

    async def pause_schedule(self, request: Request) -> Response:
        """Pause a schedule."""
        return await self._change(request, self._api.schedules.pause, _schedule_page(request), "schedule-paused", {})

    async def resume_schedule(self, request: Request) -> Response:
        """Resume it."""
        return await self._change(request, self._api.schedules.resume, _schedule_page(request), "schedule-resumed")

    async def trigger_schedule(self, request: Request) -> Response:
        """Run it now."""
        return await self._change(request, self._api.schedules.trigger, _schedule_page(request), "triggered")

    async def delete_schedule(self, request: Request) -> Response:
        """Delete it."""
        return await self._change(request, self._api.schedules.delete, SCHEDULES, "schedule-deleted")

    async def workflows(self, request: Request) -> Response:
        """Ask for the id of a workflow, and go to it."""
        given = WORKFLOWS_QUERY.parse(request.scope["query_string"])["id"]
        if given:
            return go_to(f"{WORKFLOWS}/{quote_part(given.strip())}")
        return self._pages.page("workflows.html", caller_of(request.scope), here=WORKFLOWS)

    async def workflow(self, request: Request) -> Response:
        """Show a workflow."""
        found = await ask(self._api.workflows.show, request)
        return self._page(request, "workflow.html", WORKFLOWS, workflow=found, graph=draw_workflow(found["jobs"]))

    async def cancel_workflow(self, request: Request) -> Response:
        """Cancel its jobs."""
        return await self._change(request, self._api.workflows.cancel, _page_of_workflow(request), "workflow-canceled")

    async def retry_workflow(self, request: Request) -> Response:
        """Run again what did not finish."""
        return await self._change(request, self._api.workflows.retry, _page_of_workflow(request), "workflow-retried")

    async def callbacks(self, request: Request) -> Response:
        """Show callbacks."""
        query = CALLBACKS_QUERY.parse(request.scope["query_string"])
        given = {name: query[name] for name in ("status", "host", "cursor") if query[name]}
        found = await ask(self._api.callbacks.list, request, query=urlencode({"limit": CALLBACK_ROWS} | given).encode())
        return self._pages.page(
            *("callbacks.html", caller_of(request.scope)),
            here=CALLBACKS,
            notice=notice_of(query["done"], query["n"]),
            callbacks=found["callbacks"],
            cursor=found["cursor"],
            status=query["status"] or None,
            host=query["host"] or None,
            statuses=list(CallbackStatus),
        )

    async def retry_callback(self, request: Request) -> Response:
        """Send a callback now."""
        return await self._change(request, self._api.callbacks.retry, CALLBACKS, "callback-retried")

    async def replay_callbacks(self, request: Request) -> Response:
        """Send those again that were given up."""
        form = await read_form(request)
        body = {"host": form["host"]} if form.get("host") else {}
        answer = await ask(self._api.callbacks.replay, request, body=body)
        return go_to(CALLBACKS, "callbacks-replayed", answer["callbacks"])

    async def limits(self, request: Request) -> Response:
        """Show the limits."""
        found = await ask(self._api.limits.list, request, query=urlencode({"limit": LIMIT_ROWS}).encode())
        return self._page(request, "limits.html", LIMITS, limits=found["limits"])

    async def set_limit(self, request: Request) -> Response:
        """Set the numbers of a limit."""
        form = {name: text.strip() for name, text in (await read_form(request)).items()}
        body: dict[str, Any] = {
            name: _number(name, form[name], int) for name in ("concurrency", "burst") if form.get(name)
        }
        if form.get("rate"):
            body["rate"] = form["rate"]
        await ask(self._api.limits.save, request, path={"key": form.get("key", "")}, body=body)
        return go_to(LIMITS, "limit-set")

    async def keys(self, request: Request) -> Response:
        """Show the keys."""
        return self._page(request, "keys.html", KEYS, **await ask(self._api.keys.list, request))

    async def revoke_key(self, request: Request) -> Response:
        """Revoke a key."""
        return await self._change(request, self._api.keys.revoke, KEYS, "revoked")

    async def audit(self, request: Request) -> Response:
        """Show who changed what."""
        cursor = AUDIT_QUERY.parse(request.scope["query_string"])["cursor"]
        query = urlencode({"limit": AUDIT_ENTRIES} | ({} if cursor is None else {"cursor": cursor}))
        found = await ask(self._api.audit.list, request, query=query.encode())
        return self._page(request, "audit.html", AUDIT, audit=found, first=cursor is None)

    def _page(self, request: Request, template: str, here: str, **values: Any) -> Response:
        query = (AUDIT_QUERY if here == AUDIT else PLAIN_QUERY).parse(request.scope["query_string"])
        notice = notice_of(query["done"], query["n"])
        return self._pages.page(template, caller_of(request.scope), here=here, notice=notice, **values)

    async def _change(
        self, request: Request, change: Handler, page: str, done: str, body: Mapping[str, Any] | None = None
    ) -> Response:
        await read_form(request)
        await ask(change, request, body=body)
        return go_to(page, done)


def _schedule_page(request: Request) -> str:
    return f"{SCHEDULES}/{quote_part(request.path_params['name'])}"


def _page_of_workflow(request: Request) -> str:
    return f"{WORKFLOWS}/{quote_part(request.path_params['workflow_id'])}"


def _number(name: str, text: str, kind: type[int] | type[float]) -> float | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or (kind is int and "." in text):
        raise Problem(INVALID, f"{name.replace('_', ' ')}: {text[:40]!r} is no number")
    return kind(text)
