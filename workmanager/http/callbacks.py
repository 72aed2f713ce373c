"""Callbacks, over HTTP: `Client.callbacks`."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from workmanager.errors import UsageError
from workmanager.http.paths import segment
from workmanager.http.transport import Transport

CallbackView = Mapping[str, Any]
"""A callback as `GET /callbacks/{id}` shows it; see docs/callbacks.md."""


class Callbacks:
    """Lists and shows callbacks, and sends them again. Every method raises ClientError if a manager refuses it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, status: str | None = None, host: str | None = None, page_size: int | None = None
    ) -> Iterator[CallbackView]:
        """Yield callbacks: `waiting`, `failing`, `dead` or `delivered` ones, for this host and port (`name:port`)."""
        params = {"status": status, "host": host, "limit": page_size, "cursor": None}
        while True:
            answer = self._transport.request_json("GET", "/callbacks", idempotent=True, params=params)
            yield from answer["callbacks"]
            if not answer["cursor"]:
                return
            params["cursor"] = answer["cursor"]

    def show(self, callback_id: str) -> CallbackView:
        """Return a callback with its last attempts."""
        return dict(self._transport.request_json("GET", _path(callback_id), idempotent=True))

    def retry(self, callback_id: str) -> CallbackView:
        """Send a callback at once, also one that was given up or delivered."""
        return dict(self._transport.request_json("POST", f"{_path(callback_id)}/retry", idempotent=True))

    def replay(self, *, since: datetime | None = None, host: str | None = None) -> int:
        """Send all callbacks again that were given up, `since` then (with a time zone), to this host; return how many.

        Raises:
            UsageError: `since` has no time zone.
        """
        if since is not None and since.tzinfo is None:
            raise UsageError("since must have a time zone")
        body = {"since": None if since is None else since.isoformat(), "host": host}
        # Not retried: the answer would count only what the first request has left.
        return int(self._transport.request_json("POST", "/callbacks/replay", idempotent=False, json=body)["callbacks"])

    def listen(self, name: str, *, limit: int = 10, wait_seconds: int = 0) -> tuple[CallbackView, ...]:
        """Fetch callbacks of jobs whose callback has the URL `listen:NAME`: each has `headers`, `body` and `receipt`.

        They come again after a minute, unless `acknowledge` confirms them.
        """
        answer = self._transport.request_json(
            "POST",
            "/callbacks/listen",
            idempotent=True,
            params={"name": name, "limit": limit, "wait": wait_seconds},
            wait_seconds=wait_seconds,
        )
        return tuple(answer["callbacks"])

    def acknowledge(self, receipts: Iterable[str]) -> int:
        """Confirm callbacks that `listen` has returned. Return how many were waiting for it."""
        body = {"receipts": [*receipts]}
        answer = self._transport.request_json("POST", "/callbacks/listen/ack", idempotent=True, json=body)
        return int(answer["acknowledged"])


def _path(callback_id: str) -> str:
    return f"/callbacks/{segment(callback_id)}"
