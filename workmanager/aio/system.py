"""What a system is made of and what was changed in it, over HTTP: `Client.system`."""

# Made of workmanager/http/system.py by scripts/generate_async_client.py. Do not edit.

import time
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from workmanager.aio.transport import AsyncTransport
from workmanager.errors import ClientError
from workmanager.http.paths import segment
from workmanager.http.system import PROBES, Health


class AsyncSystem:
    """Shows a manager's state, workers, audit and metrics. Every method raises ClientError if it is refused."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def health(self) -> Health:
        """Ask whether the manager is there, and what its clock says."""
        began, began_at = (time.monotonic(), time.time())
        answer = await self._transport.request("GET", "/healthz", idempotent=True)
        seconds = time.monotonic() - began
        date = answer.header("Date")
        told = None if date is None else parsedate_to_datetime(date).timestamp()
        ahead = 0.0 if told is None else told + 0.5 - (began_at + seconds / 2)
        return Health(1000 * seconds, ahead)

    async def readiness(self) -> Mapping[str, Any]:
        """Return what `/readyz` says: shards, the cluster, what needs an operator. A manager that is not ready is a
        `ClientError` 503 that says why."""
        return dict(await self._transport.request_json("GET", "/readyz", idempotent=True))

    async def version(self) -> str:
        """Return the version of the manager's program."""
        return str((await self._transport.request_json("GET", "/openapi.json", idempotent=True))["info"]["version"])

    async def scopes(self) -> Mapping[str, bool]:
        """Return what the API key may do, by scope. Nothing is changed. An unknown key is a `ClientError` 401."""
        return {scope: await self._may(*probe) for scope, probe in PROBES.items()}

    async def _may(self, method: str, path: str, content: Mapping[str, Any]) -> bool:
        options: dict[str, Any] = {"json": content} if method == "POST" else {"params": content}
        try:
            await self._transport.request(method, path, idempotent=True, **options)
        except ClientError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return False
            if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
        return True

    async def workers(self) -> list[Mapping[str, Any]]:
        """Return each worker: what it serves and runs, and when it was heard of last."""
        return [*(await self._transport.request_json("GET", "/workers", idempotent=True))["workers"]]

    async def drain_worker(self, name: str) -> Mapping[str, Any]:
        """Let a worker take no more jobs, end those that it runs, and exit."""
        return dict(await self._transport.request_json("POST", f"/workers/{segment(name)}/drain", idempotent=True))

    async def audit(self, page_size: int = 100) -> AsyncIterator[Mapping[str, Any]]:
        """Yield changes of keys, queues, schedules, limits and the scaler, the latest first."""
        cursor: str | None = None
        while True:
            params = {"limit": page_size, "cursor": cursor}
            answer = await self._transport.request_json("GET", "/audit", idempotent=True, params=params)
            for item in answer["entries"]:
                yield item
            cursor = answer["cursor"]
            if not cursor:
                return

    async def metrics(self) -> str:
        """Return the metrics of a manager in Prometheus' text format."""
        return (await self._transport.request("GET", "/metrics", idempotent=True)).text
