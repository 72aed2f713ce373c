"""Callbacks, over HTTP: `Client.callbacks`."""

# Made of workmanager/http/callbacks.py by scripts/generate_async_client.py. Do not edit.

from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from workmanager.aio.transport import AsyncTransport
from workmanager.errors import UsageError
from workmanager.http.callbacks import CallbackView, _path


class AsyncCallbacks:
    """Lists and shows callbacks, and sends them again. Every method raises ClientError if a manager refuses it."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(
        self, *, status: str | None = None, host: str | None = None, page_size: int | None = None
    ) -> AsyncIterator[CallbackView]:
        """Yield callbacks: `waiting`, `failing`, `dead` or `delivered` ones, for this host and port (`name:port`)."""
        params = {"status": status, "host": host, "limit": page_size, "cursor": None}
        while True:
            answer = await self._transport.request_json("GET", "/callbacks", idempotent=True, params=params)
            for item in answer["callbacks"]:
                yield item
            if not answer["cursor"]:
                return
            params["cursor"] = answer["cursor"]

    async def show(self, callback_id: str) -> CallbackView:
        """Return a callback with its last attempts."""
        return dict(await self._transport.request_json("GET", _path(callback_id), idempotent=True))

    async def retry(self, callback_id: str) -> CallbackView:
        """Send a callback at once, also one that was given up or delivered."""
        return dict(await self._transport.request_json("POST", f"{_path(callback_id)}/retry", idempotent=True))

    async def replay(self, *, since: datetime | None = None, host: str | None = None) -> int:
        """Send all callbacks again that were given up, `since` then (with a time zone), to this host; return how many.

        Raises:
            UsageError: `since` has no time zone.
        """
        if since is not None and since.tzinfo is None:
            raise UsageError("since must have a time zone")
        body = {"since": None if since is None else since.isoformat(), "host": host}
        return int(
            (await self._transport.request_json("POST", "/callbacks/replay", idempotent=False, json=body))["callbacks"]
        )

    async def listen(self, name: str, *, limit: int = 10, wait_seconds: int = 0) -> tuple[CallbackView, ...]:
        """Fetch callbacks of jobs whose callback has the URL `listen:NAME`: each has `headers`, `body` and `receipt`.

        They come again after a minute, unless `acknowledge` confirms them.
        """
        answer = await self._transport.request_json(
            "POST",
            "/callbacks/listen",
            idempotent=True,
            params={"name": name, "limit": limit, "wait": wait_seconds},
            wait_seconds=wait_seconds,
        )
        return tuple(answer["callbacks"])

    async def acknowledge(self, receipts: Iterable[str]) -> int:
        """Confirm callbacks that `listen` has returned. Return how many were waiting for it."""
        body = {"receipts": [*receipts]}
        answer = await self._transport.request_json("POST", "/callbacks/listen/ack", idempotent=True, json=body)
        return int(answer["acknowledged"])
