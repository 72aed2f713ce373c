"""Schedules, over HTTP: `Client.schedules`."""

from collections.abc import Mapping
from typing import Any

from workmanager.http.paths import segment
from workmanager.http.transport import Transport

ScheduleView = Mapping[str, Any]
"""A schedule as `GET /schedules/{name}` shows it; see docs/schedules.md."""


class Schedules:
    """Creates, shows, changes and deletes schedules. Every method raises ClientError if a manager refuses it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def put(self, name: str, schedule: Mapping[str, Any], *, dry_run: bool = False) -> ScheduleView:
        """Create a schedule, or replace the one with this name; the answer's `outcome` is created, changed or same.

        Args:
            schedule: the body of `PUT /schedules/{name}`: `cron` or `every`, `job`, and others.
            dry_run: only check it, and tell the outcome.
        """
        params = {"dry_run": "true" if dry_run else None}
        answer = self._transport.request_json("PUT", _path(name), idempotent=True, params=params, json=dict(schedule))
        return dict(answer)

    def list(self) -> Mapping[str, Any]:
        """Return `schedules` by name, those that are `unreadable`, and how many `shards_unavailable` there are."""
        return dict(self._transport.request_json("GET", "/schedules", idempotent=True))

    def show(self, name: str) -> ScheduleView:
        """Return a schedule with what comes and what it has done."""
        return dict(self._transport.request_json("GET", _path(name), idempotent=True))

    def delete(self, name: str) -> None:
        """Delete a schedule. Jobs that it has enqueued stay."""
        self._transport.delete(_path(name))

    def pause(self, name: str, note: str = "") -> ScheduleView:
        """Let a schedule run no more until `resume`."""
        return dict(self._transport.request_json("POST", _path(name, "pause"), idempotent=True, json={"note": note}))

    def resume(self, name: str) -> ScheduleView:
        """End a pause: it goes on with the next instant."""
        return dict(self._transport.request_json("POST", _path(name, "resume"), idempotent=True))

    def trigger(self, name: str) -> str:
        """Run a schedule now; return the job's id. If a run has not ended, this is a `ClientError` 409."""
        # Not retried: a run whose answer was lost would be there twice.
        return str(self._transport.request_json("POST", _path(name, "trigger"), idempotent=False)["id"])

    def preview(self, cron: str, timezone: str | None = None, limit: int | None = None) -> Mapping[str, Any]:
        """Return when a cron expression runs, in words and as instants, and what changes of the clock do to it."""
        params = {"cron": cron, "timezone": timezone, "limit": limit}
        return dict(self._transport.request_json("GET", "/schedules/preview", idempotent=True, params=params))


def _path(name: str, verb: str = "") -> str:
    return f"/schedules/{segment(name)}" + (f"/{verb}" if verb else "")
