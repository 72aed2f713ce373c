"""Pages of the dashboard that are open in browsers: their streams, read by a program of its own.

Run as a program: `python -m benchmarks.harness.open_pages PORT PAGES READY_FILE`.
"""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness.measured_programs import running_program, wait_until
from manager.http.dashboard_paths import STREAM

_READ_BYTES = 1 << 16


@contextlib.contextmanager
def open_pages(port: int, count: int) -> Iterator[None]:
    """Keep so many overviews open for the duration of the block."""
    with tempfile.TemporaryDirectory(prefix="open-pages-") as name:
        ready = Path(name) / "open"
        command = [sys.executable, "-m", "benchmarks.harness.open_pages", str(port), str(count), str(ready)]
        with running_program(command, Path(name) / "log") as program:
            wait_until(ready.exists, seconds=60, wanted="open pages", program=program)
            yield


async def _hold(port: int, count: int, on_ready: Callable[[], None]) -> None:
    opened = [asyncio.Event() for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        for each in opened:
            group.create_task(_follow(port, each))
        for each in opened:
            await each.wait()
        on_ready()


async def _follow(port: int, opened: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {STREAM}?page=overview HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
    writer.write(f"{head}Accept-Encoding: gzip\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    while await reader.read(_READ_BYTES):
        opened.set()
    raise ConnectionError("the manager has closed a stream")


if __name__ == "__main__":
    asyncio.run(_hold(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]).touch))
