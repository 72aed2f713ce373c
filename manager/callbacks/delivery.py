"""Send one callback, within bounds of time and size.

Imports httpx, which takes a while: managers import this module when the first callback is due.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import httpx

from jobqueue.callbacks.entry import Entry
from jobqueue.callbacks.outbox import Attempt
from jobqueue.timestamps import iso
from manager.callbacks.message import message
from manager.callbacks.signature import headers
from manager.callbacks.verdict import retry_after
from outgoing.async_client import open_async_client
from outgoing.guard import AddressRefused, Guard

if TYPE_CHECKING:
    from manager.callbacks.callback_span import CallbackSpan
    from processes.tracing.spans import Tracing

MAX_ANSWER_BYTES = 64 * 1024
"""How much of an answer is read: a connection can be used again only if all of it is."""
SHOWN_ANSWER_BYTES = 1024
MAX_IDLE_HOSTS = 16
"""For so many hosts, connections are kept that nothing is sent on."""
MAX_CONNECTIONS_PER_HOST = 64
RESOLVER_THREADS = 32
USER_AGENT = "workmanager-callbacks"


class Delivery:
    """Sends callbacks.

    Args:
        guard: judges the addresses.
        secrets: sign each callback; none of them: it is not signed.
        timeout_seconds: how long an attempt may take, the look-up of the name and a slow answer included.
        tracing: makes a span for each attempt; None if nothing is traced.
    """

    def __init__(
        self, guard: Guard, secrets: Sequence[bytes], timeout_seconds: float, tracing: "Tracing | None" = None
    ) -> None:
        self._secrets = secrets
        self._tracing = tracing
        self._timeout_seconds = timeout_seconds
        # Threads of its own: name servers that do not answer must not delay what else the manager does.
        self._resolver = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="callback-names")
        self._open = partial(
            open_async_client,
            guard,
            timeout_seconds=timeout_seconds,
            ssl_context=ssl.create_default_context(),
            max_connections=MAX_CONNECTIONS_PER_HOST,
            resolver=self._resolver,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        )
        # One for each host, the last used one last: httpcore looks at all connections of a client for each request.
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._in_use: Counter[str] = Counter()

    async def send(self, entry: Entry) -> tuple[Attempt, float]:
        """Send a callback. Return the attempt, and how many seconds the answer asks to wait; 0 if it does not."""
        began_at, started = time.time(), time.monotonic()
        status, error, answer, wait_seconds = None, "", b"", 0.0
        timeout_seconds = self._timeout_seconds
        if entry.webhook is not None:
            timeout_seconds = min(timeout_seconds, entry.webhook.timeout_seconds)
        method = "POST" if entry.webhook is None else entry.webhook.method
        span = None if self._tracing is None else self._begin_span(self._tracing, entry, method)
        try:
            async with self._client(entry.host) as client, asyncio.timeout(timeout_seconds):
                body = message(entry)
                sent = headers(entry.id, self._secrets, int(began_at), body)
                if span is not None:
                    sent |= span.headers
                if entry.webhook is not None:
                    # What a client of RQ gives takes the place of ours, as with RQ.
                    given = {name.lower() for name in entry.webhook.headers}
                    sent = {name: value for name, value in sent.items() if name.lower() not in given}
                    sent |= entry.webhook.headers
                    if method == "GET":
                        sent.pop("Content-Type", None)
                async with client.stream(method, entry.url, content=body, headers=sent) as response:
                    status = response.status_code
                    wait_seconds = retry_after(response.headers.get("retry-after"), began_at)
                    answer = await _first_bytes(response)
        except TimeoutError:
            error = f"no answer within {timeout_seconds:g} s" if status is None else ""
        except AddressRefused as refusal:
            error = str(refusal)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError, ssl.SSLError) as failure:
            # An answer whose body breaks off is an answer.
            error = f"{type(failure).__name__}: {failure}" if status is None else ""
        milliseconds = round((time.monotonic() - started) * 1000)
        shown = answer[:SHOWN_ANSWER_BYTES].decode("utf-8", "replace")
        attempt = Attempt(iso(began_at), milliseconds, status, error[:500], shown)
        if span is not None:
            span.end(attempt)
        return attempt, wait_seconds

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.aclose()
        self._resolver.shutdown(wait=False, cancel_futures=True)

    def _begin_span(self, tracing: "Tracing", entry: Entry, method: str) -> "CallbackSpan":
        from manager.callbacks.callback_span import CallbackSpan  # Here, because other managers have no OpenTelemetry.

        return CallbackSpan(tracing, entry, method)

    @asynccontextmanager
    async def _client(self, host: str) -> AsyncIterator[httpx.AsyncClient]:
        client = self._clients.pop(host, None) or self._open()
        self._clients[host] = client
        self._in_use[host] += 1
        try:
            yield client
        finally:
            self._in_use[host] -= 1
            idle = [host for host in self._clients if not self._in_use[host]]
            for unused in idle[: max(0, len(idle) - MAX_IDLE_HOSTS)]:
                del self._in_use[unused]
                await self._clients.pop(unused).aclose()


async def _first_bytes(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= MAX_ANSWER_BYTES:
            break
    return bytes(content)
