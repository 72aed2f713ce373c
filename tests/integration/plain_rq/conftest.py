"""Fixtures with our worker and plain RQ's worker and tools as separate processes on one Redis."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue

from jobqueue.functions import FunctionRegistry
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.sharding.shards import Shards

FUNCTIONS = "tests.integration.plain_rq.job_functions"
ROOT = Path(__file__).parents[3]

StartProcess = Callable[..., "subprocess.Popen[bytes]"]
RunTool = Callable[[], str]


@pytest.fixture
def connection(redis_url: str) -> Iterator[Redis]:
    """The connection of an RQ client."""
    client = Redis.from_url(redis_url)
    yield client
    client.close()


@pytest.fixture
def queue(connection: Redis) -> Queue:
    """RQ's `default` queue with the JSON serializer."""
    return Queue(connection=connection, serializer="json")


@pytest.fixture
def processes() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """The processes that a test starts. They are killed when it ends."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def our_worker(redis_url: str, processes: list["subprocess.Popen[bytes]"]) -> StartProcess:
    """Start one of our workers. Keyword arguments are settings (`ALLOW_PICKLE="1"`)."""

    def start(*arguments: str, **settings: str) -> "subprocess.Popen[bytes]":
        environment = {"WORKMANAGER_FUNCTIONS": FUNCTIONS} | {f"WORKMANAGER_{k}": v for k, v in settings.items()}
        command = ["worker_node", "--redis-url", redis_url, "--slots", "1", *arguments]
        return _start(processes, command, environment)

    return start


@pytest.fixture
def rq_worker(redis_url: str, processes: list["subprocess.Popen[bytes]"]) -> StartProcess:
    """Start `rq worker`, by default with the JSON serializer; with None, with RQ's default."""

    def start(*arguments: str, serializer: str | None = "json") -> "subprocess.Popen[bytes]":
        options = [] if serializer is None else ["-S", serializer]
        return _start(processes, ["rq.cli", "worker", "--url", redis_url, *options, *arguments], {})

    return start


@pytest.fixture
def rq_info(redis_url: str) -> RunTool:
    """Return the output of `rq info --raw`. It counts every registry, which removes expired entries."""

    def run() -> str:
        command = [sys.executable, "-m", "rq.cli", "info", "--raw", "--url", redis_url]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=120).stdout

    return run


@pytest.fixture
async def shards(redis_url: str) -> AsyncIterator[Shards]:
    """The same Redis as our programs use it."""
    connected = await Shards.connect(redis_url)
    yield connected
    await connected.close()


@pytest.fixture
def maintenance(redis_url: str) -> Iterator[None]:
    """A manager's periodic maintenance, in a thread of its own."""
    loop = asyncio.new_event_loop()

    async def run() -> None:
        shards = await Shards.connect(redis_url)
        try:
            await Maintenance(shards).run()
        finally:
            await shards.close()

    task = loop.create_task(run())
    task.add_done_callback(lambda _: loop.stop())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield
    loop.call_soon_threadsafe(task.cancel)
    thread.join(timeout=60)
    loop.close()
    assert task.cancelled()


@pytest.fixture
def functions() -> FunctionRegistry:
    """The registry of functions that the workers have."""
    return FunctionRegistry.discover([FUNCTIONS], [str(ROOT)])


def _start(
    processes: list["subprocess.Popen[bytes]"], command: list[str], environment: dict[str, str]
) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    processes.append(process)
    return process
