"""Schedules, over HTTP: `Client.schedules`."""

# Made of workmanager/http/schedules.py by scripts/generate_async_client.py. Do not edit.

from collections.abc import Mapping
from typing import Any

from workmanager.aio.transport import AsyncTransport
from workmanager.http.schedules import ScheduleView, _path


class AsyncSchedules:
    """Creates, shows, changes and deletes schedules. Every method raises ClientError if a manager refuses it."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def put(self, name: str, schedule: Mapping[str, Any], *, dry_run: bool = False) -> ScheduleView:
        """Create a schedule, or replace the one with this name; the answer's `outcome` is created, changed or same.

        Args:
            schedule: the body of `PUT /schedules/{name}`: `cron` or `every`, `job`, and others.
            dry_run: only check it, and tell the outcome.
        """
        params = {"dry_run": "true" if dry_run else None}
        answer = await self._transport.request_json(
            "PUT", _path(name), idempotent=True, params=params, json=dict(schedule)
        )
        return dict(answer)

    async def list(self) -> Mapping[str, Any]:
        """Return `schedules` by name, those that are `unreadable`, and how many `shards_unavailable` there are."""
        return dict(await self._transport.request_json("GET", "/schedules", idempotent=True))

    async def show(self, name: str) -> ScheduleView:
        """Return a schedule with what comes and what it has done."""
        return dict(await self._transport.request_json("GET", _path(name), idempotent=True))

    async def delete(self, name: str) -> None:
        """Delete a schedule. Jobs that it has enqueued stay."""
        await self._transport.delete(_path(name))

    async def pause(self, name: str, note: str = "") -> ScheduleView:
        """Let a schedule run no more until `resume`."""
        return dict(
            await self._transport.request_json("POST", _path(name, "pause"), idempotent=True, json={"note": note})
        )

    async def resume(self, name: str) -> ScheduleView:
        """End a pause: it goes on with the next instant."""
        return dict(await self._transport.request_json("POST", _path(name, "resume"), idempotent=True))

    async def trigger(self, name: str) -> str:
        """Run a schedule now; return the job's id. If a run has not ended, this is a `ClientError` 409."""
        return str((await self._transport.request_json("POST", _path(name, "trigger"), idempotent=False))["id"])

    async def preview(self, cron: str, timezone: str | None = None, limit: int | None = None) -> Mapping[str, Any]:
        """Return when a cron expression runs, in words and as instants, and what changes of the clock do to it."""
        params = {"cron": cron, "timezone": timezone, "limit": limit}
        return dict(await self._transport.request_json("GET", "/schedules/preview", idempotent=True, params=params))
