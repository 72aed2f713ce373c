"""What operators show and change, over HTTP: queues, the scaler, limits of jobs, API keys."""

# Made of workmanager/http/administration_methods.py by scripts/generate_async_client.py. Do not edit.

from collections.abc import Mapping, Sequence
from typing import Any

from workmanager.aio.transport import AsyncTransport
from workmanager.http.paths import segment


class AsyncAdministrationMethods:
    """The part of the client for operators."""

    _transport: AsyncTransport

    async def status(self) -> Mapping[str, Any]:
        """Return the counts of `Jobs` that have not ended, of `Workers`, and more."""
        return dict(await self._transport.request_json("GET", "/status", idempotent=True))

    async def queues(self) -> list[dict[str, Any]]:
        """Return each queue: its jobs by status, whether a worker serves it, and whether it is paused."""
        return list((await self._transport.request_json("GET", "/queues", idempotent=True))["queues"])

    async def pause_queue(self, queue: str) -> Mapping[str, Any]:
        """Let workers take no job of a queue until `resume_queue`. Jobs that run go on."""
        return await self._set_paused(queue, "pause")

    async def resume_queue(self, queue: str) -> Mapping[str, Any]:
        """End a queue's pause."""
        return await self._set_paused(queue, "resume")

    async def requeue_failed(self, queue: str) -> Mapping[str, Any]:
        """Run all failed jobs of a queue again."""
        path = f"/queues/{segment(queue)}/requeue-failed"
        return dict(await self._transport.request_json("POST", path, idempotent=False))

    async def scaler(self) -> Mapping[str, Any]:
        """Return the acting manager, its last observation and decisions, the limits, and every instance."""
        return dict(await self._transport.request_json("GET", "/scaler", idempotent=True))

    async def pause_scaler(self) -> Mapping[str, Any]:
        """Stop launching and terminating workers until `resume_scaler`."""
        return dict(await self._transport.request_json("POST", "/scaler/pause", idempotent=True))

    async def resume_scaler(self) -> Mapping[str, Any]:
        """End a pause."""
        return dict(await self._transport.request_json("POST", "/scaler/resume", idempotent=True))

    async def set_scaler_limits(self, limits: Mapping[str, int | float | None]) -> Mapping[str, Any]:
        """Set `min_workers`, `max_workers` or `budget_per_hour`; None restores the managers' setting."""
        return dict(await self._transport.request_json("PUT", "/scaler/limits", idempotent=True, json=dict(limits)))

    async def limits(self) -> list[dict[str, Any]]:
        """Return limits of jobs, with who uses them; those under which a job has begun last come first."""
        return list((await self._transport.request_json("GET", "/limits", idempotent=True))["limits"])

    async def limit(self, key: str) -> Mapping[str, Any]:
        """Return one limit: its numbers, and which jobs run under it."""
        return dict(await self._transport.request_json("GET", f"/limits/{segment(key)}", idempotent=True))

    async def set_limit(
        self, key: str, *, concurrency: int | None = None, rate: str | None = None, burst: int | None = None
    ) -> Mapping[str, Any]:
        """Set the numbers of a limit for all jobs, at once: `concurrency`, or `rate` (`100/1m`) with a `burst`."""
        body = {"concurrency": concurrency, "rate": rate, "burst": burst}
        return dict(await self._transport.request_json("PUT", f"/limits/{segment(key)}", idempotent=True, json=body))

    async def delete_limit(self, key: str) -> None:
        """Leave the numbers of a limit to its jobs again."""
        await self._transport.delete(f"/limits/{segment(key)}")

    async def create_key(
        self,
        scopes: Sequence[str],
        queues: Sequence[str] = (),
        expires_seconds: int | None = None,
        limits: Mapping[str, float | None] | None = None,
    ) -> Mapping[str, Any]:
        """Create an API key, with the limits of `limit_key`. The answer's `key` is shown this once."""
        body: dict[str, Any] = {"scopes": list(scopes), "queues": list(queues), "expires": expires_seconds}
        if limits:
            body["limits"] = dict(limits)
        return dict(await self._transport.request_json("POST", "/keys", idempotent=False, json=body))

    async def keys(self) -> list[dict[str, Any]]:
        """Return the API keys that were created, without their secrets."""
        return list((await self._transport.request_json("GET", "/keys", idempotent=True))["keys"])

    async def roll_key(self, key_id: str, overlap_seconds: int | None = None) -> Mapping[str, Any]:
        """Give an API key a new secret, the answer's `key`. The one before stays valid for the overlap (24 h)."""
        body = {} if overlap_seconds is None else {"overlap": overlap_seconds}
        path = f"/keys/{segment(key_id)}/roll"
        return dict(await self._transport.request_json("POST", path, idempotent=False, json=body))

    async def limit_key(self, key_id: str, limits: Mapping[str, float | None]) -> Mapping[str, Any]:
        """Set `requests_per_second`, `jobs_per_second`, `payload_bytes` or `waiting_jobs`; None removes the limit."""
        path = f"/keys/{segment(key_id)}/limits"
        return dict(await self._transport.request_json("PUT", path, idempotent=True, json=dict(limits)))

    async def revoke_key(self, key_id: str) -> None:
        """Revoke an API key: within five seconds no manager accepts it."""
        await self._transport.delete(f"/keys/{segment(key_id)}")

    async def _set_paused(self, queue: str, verb: str) -> Mapping[str, Any]:
        path = f"/queues/{segment(queue)}/{verb}"
        return dict(await self._transport.request_json("POST", path, idempotent=True))
