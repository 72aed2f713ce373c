"""A fake network load balancer: terminates TLS, and forwards connections to targets whose health check passes."""

import asyncio
import itertools
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

CHECK_SECONDS = 1.0
"""Time between two health checks; on AWS it is five seconds."""
ANSWER_SECONDS = 4.0
MOST_FAILURES = 2
"""After so many failures in a row a target is unhealthy; as in the template."""
BLOCK_BYTES = 1 << 16


class Balancer:
    """Listens on port 443 of `address`, in the network of the thread that enters the block."""

    def __init__(self, address: str, certificate: Path, key: Path) -> None:
        self._address = address
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate, key)
        self._targets: list[str] = []
        self._healthy: list[str] = []
        self._turn = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set_targets(self, urls: list[str]) -> None:
        """Set the base URLs of the targets."""
        self._targets = urls

    @property
    def healthy(self) -> list[str]:
        """The targets whose health check passes."""
        return self._healthy

    async def _start(self) -> None:
        self._checking = asyncio.create_task(self._check())
        self._server = await asyncio.start_server(self._serve, self._address, 443, ssl=self._tls)

    async def _stop(self) -> None:
        self._server.close()
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _check(self) -> None:
        failures: dict[str, int] = {}
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            while True:
                targets = list(self._targets)
                ready = await asyncio.gather(*(_is_ready(client, url) for url in targets))
                # A target that has never been healthy is unhealthy at its first failure.
                before = {url: failures.get(url, MOST_FAILURES - 1) for url in targets}
                failures = {
                    url: 0 if is_ready else before[url] + 1 for url, is_ready in zip(targets, ready, strict=True)
                }
                self._healthy = [url for url in targets if failures[url] < MOST_FAILURES]
                await asyncio.sleep(CHECK_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        healthy = self._healthy
        if not healthy:
            writer.close()
            return
        target = urlsplit(healthy[next(self._turn) % len(healthy)])
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).is_success
    except httpx.HTTPError:
        return False


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
