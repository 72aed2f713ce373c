"""The pages that show documents of the API: the scaler, schedules, keys and the audit stream."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response

from manager.dashboard.api import Api, ask
from manager.dashboard.forms import go_to, notice_of, page_query, read_form
from manager.dashboard.rendering import Pages, quote_part
from manager.dashboard.sampler import Sampler
from manager.http.authentication import caller_of
from manager.http.problems import INVALID, Problem
from manager.http.query_parameters import Text

SCALER, SCHEDULES, KEYS, AUDIT = (f"/dashboard/{name}" for name in ("scaler", "schedules", "keys", "audit"))
AUDIT_ENTRIES = 100
PLAIN_QUERY = page_query()
AUDIT_QUERY = page_query(Text("cursor", "Where the page begins", "[0-9]{1,18}-[0-9]{1,18}"))
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
        found = await ask(self._api.scaler.show, request)
        return self._page(request, "scaler.html", SCALER, scaler=found, price_per_hour=self._price_per_hour)

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
        await self._sampler.current(changed=True)
        return go_to(SCALER, "limits-set")

    async def schedules(self, request: Request) -> Response:
        """Show the schedules."""
        found = await ask(self._api.schedules.list, request)
        return self._page(request, "schedules.html", SCHEDULES, found=found)

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
        self, request: Request, change: Any, page: str, done: str, body: Mapping[str, Any] | None = None
    ) -> Response:
        await read_form(request)
        await ask(change, request, body=body)
        await self._sampler.current(changed=True)
        return go_to(page, done)


def _schedule_page(request: Request) -> str:
    return f"{SCHEDULES}/{quote_part(request.path_params['name'])}"


def _number(name: str, text: str, kind: type[int] | type[float]) -> float | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or (kind is int and "." in text):
        raise Problem(INVALID, f"{name.replace('_', ' ')}: {text[:40]!r} is no number")
    return kind(text)
