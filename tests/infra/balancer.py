"""A fake network load balancer: terminates TLS, and forwards connections to targets whose health check passes.

`python -m tests.infra.balancer ADDRESS CERTIFICATE KEY` is one in a process of its own: it measures managers, and
not the interpreter of a simulation. Each line of its standard input has the URLs of the targets, separated by spaces.
For each round of checks it prints a line of JSON: `{URL: WHY}`, where WHY is "" for a target whose check passes, and
otherwise what was wrong. Only targets that are healthy get connections.
"""

import asyncio
import itertools
import json
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

CHECK_SECONDS = 1.0
"""Time between two health checks; on AWS it is five seconds."""
ANSWER_SECONDS = 4.0
MOST_FAILURES = 2
"""After so many failures in a row a target is unhealthy; as in the template."""
BLOCK_BYTES = 1 << 16


class Balancer:
    """Listens on port 443 of `address` until standard input ends."""

    def __init__(self, address: str, certificate: Path, key: Path) -> None:
        self._address = address
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate, key)
        self._targets: list[str] = []
        self._healthy: list[str] = []
        self._turn = itertools.count()

    async def run(self) -> None:
        """Serve until standard input ends."""
        checking = asyncio.create_task(self._check())
        async with await asyncio.start_server(self._serve, self._address, 443, ssl=self._tls):
            while line := await asyncio.to_thread(sys.stdin.readline):
                self._targets = line.split()
        checking.cancel()

    async def _check(self) -> None:
        failures: dict[str, int] = {}
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as client:
            while True:
                targets = list(self._targets)
                wrongs = await asyncio.gather(*(_what_is_wrong(client, url) for url in targets))
                # A target that has never been healthy is unhealthy at its first failure.
                before = {url: failures.get(url, MOST_FAILURES - 1) for url in targets}
                failures = {url: before[url] + 1 if wrong else 0 for url, wrong in zip(targets, wrongs, strict=True)}
                self._healthy = [url for url in targets if failures[url] < MOST_FAILURES]
                told = {
                    url: wrong if url not in self._healthy else "" for url, wrong in zip(targets, wrongs, strict=True)
                }
                sys.stdout.write(f"{json.dumps(told)}\n")
                sys.stdout.flush()
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


async def _what_is_wrong(client: httpx.AsyncClient, url: str) -> str:
    begin = time.monotonic()
    try:
        answer = await client.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        return f"{type(error).__name__} after {time.monotonic() - begin:.1f} s"
    return "" if answer.is_success else f"{answer.status_code} {answer.text}"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(Balancer(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])).run())
