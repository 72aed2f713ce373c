"""What a system is made of and what was changed in it, over HTTP: `Client.system`."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from workmanager.errors import ClientError
from workmanager.http.paths import segment
from workmanager.http.transport import Transport


@dataclass(frozen=True, slots=True)
class Health:
    """That a manager answers.

    Attributes:
        milliseconds: how long it took.
        clock_seconds: how much its clock is ahead of this one's; its answers tell whole seconds.
    """

    milliseconds: float
    clock_seconds: float


PROBES = {
    "jobs:write": ("POST", "/jobs", {}),
    "jobs:read": ("GET", "/jobs", {"limit": 1}),
    "results:pull": ("POST", "/ackCompleted", {}),
    "admin": ("GET", "/audit", {"limit": 1}),
}
"""For each scope, a request that reads, or that is refused for its content if the scope does not refuse it."""


class System:
    """Shows a manager's state, workers, audit and metrics. Every method raises ClientError if it is refused."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def health(self) -> Health:
        """Ask whether the manager is there, and what its clock says."""
        began, began_at = time.monotonic(), time.time()
        answer = self._transport.request("GET", "/healthz", idempotent=True)
        seconds = time.monotonic() - began
        date = answer.header("Date")
        told = None if date is None else parsedate_to_datetime(date).timestamp()
        # A clock that says whole seconds is half a second behind on average.
        ahead = 0.0 if told is None else told + 0.5 - (began_at + seconds / 2)
        return Health(1000 * seconds, ahead)

    def readiness(self) -> Mapping[str, Any]:
        """Return what `/readyz` says: shards, the cluster, what needs an operator. A manager that is not ready is a
        `ClientError` 503 that says why."""
        return dict(self._transport.request_json("GET", "/readyz", idempotent=True))

    def version(self) -> str:
        """Return the version of the manager's program."""
        return str(self._transport.request_json("GET", "/openapi.json", idempotent=True)["info"]["version"])

    def scopes(self) -> Mapping[str, bool]:
        """Return what the API key may do, by scope. Nothing is changed. An unknown key is a `ClientError` 401."""
        return {scope: self._may(*probe) for scope, probe in PROBES.items()}

    def _may(self, method: str, path: str, content: Mapping[str, Any]) -> bool:
        options: dict[str, Any] = {"json": content} if method == "POST" else {"params": content}
        try:
            self._transport.request(method, path, idempotent=True, **options)
        except ClientError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return False
            if error.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
        return True

    def workers(self) -> list[Mapping[str, Any]]:
        """Return each worker: what it serves and runs, and when it was heard of last."""
        return [*self._transport.request_json("GET", "/workers", idempotent=True)["workers"]]

    def drain_worker(self, name: str) -> Mapping[str, Any]:
        """Let a worker take no more jobs, end those that it runs, and exit."""
        return dict(self._transport.request_json("POST", f"/workers/{segment(name)}/drain", idempotent=True))

    def audit(self, page_size: int = 100) -> Iterator[Mapping[str, Any]]:
        """Yield changes of keys, queues, schedules, limits and the scaler, the latest first."""
        cursor: str | None = None
        while True:
            params = {"limit": page_size, "cursor": cursor}
            answer = self._transport.request_json("GET", "/audit", idempotent=True, params=params)
            yield from answer["entries"]
            cursor = answer["cursor"]
            if not cursor:
                return

    def metrics(self) -> str:
        """Return the metrics of a manager in Prometheus' text format."""
        return self._transport.request("GET", "/metrics", idempotent=True).text
