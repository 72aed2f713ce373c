"""What a system is made of and what was changed in it, over HTTP: `Client.system`."""

from collections.abc import Iterator, Mapping
from typing import Any

from workmanager.http.transport import Transport


class System:
    """Shows workers, audit and metrics. Every method raises ClientError if a manager refuses it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def workers(self) -> list[Mapping[str, Any]]:
        """Return each worker: what it serves and runs, and when it was heard of last."""
        return [*self._transport.request_json("GET", "/workers", idempotent=True)["workers"]]

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
