"""Real workers on a real Redis, and slots without Redis."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from jobqueue.errors import ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.job_views import view_jobs
from jobqueue.job_view import JobView
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import NewJob
from jobqueue.sharding.find_shard import find_shard
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.acceptance.worker_node.slot_harness import JOBS, MakeHarness, SlotHarness
from tests.processes import children_of
from tests.waiting import DEADLINE_SECONDS, until, until_async
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.recycling import RecyclingLimits

FUNCTIONS = FunctionRegistry.discover([JOBS])


class Worker:
    """A worker process with one slot, or as the arguments say."""

    def __init__(
        self,
        url: str,
        log: Path,
        *arguments: str,
        pass_fds: Sequence[int] = (),
        prefix: Sequence[str] = (),
        **settings: str,
    ) -> None:
        self.log = log
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
        environ |= {"WORKMANAGER_FUNCTIONS": JOBS} | {f"WORKMANAGER_{name}": text for name, text in settings.items()}
        command = [*prefix, sys.executable, "-m", "worker_node", "--redis-url", url, "--slots", "1", *arguments]
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(command, env=environ, stderr=stderr, pass_fds=pass_fds)

    @property
    def log_text(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")  # Jobs may print anything.

    def wait_until_started(self) -> None:
        """Wait until the worker claims jobs."""
        until(lambda: "event=worker_started" in self.log_text, wanted="the worker's start")

    def executors(self) -> list[int]:
        """Return the process ids of its executors."""
        return children_of(self.process.pid)

    def terminate(self) -> int:
        """Send SIGTERM and wait; return the exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait until the worker has exited; return the exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Kill the agent with SIGKILL; its executors die with it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


MakeWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[MakeWorker]:
    workers: list[Worker] = []

    def start(url: str, *arguments: str, **options: Any) -> Worker:
        worker = Worker(url, tmp_path / f"worker{len(workers)}.log", *arguments, **options)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.kill()
        assert "Traceback" not in worker.log_text, worker.log_text


class Client:
    """Enqueues jobs and reads their records."""

    def __init__(self, shards: Shards, url: str) -> None:
        self.shards = shards
        self.url = url

    async def enqueue(self, function: str, *args: Any, **fields: Any) -> str:
        """Enqueue one job; return its id."""
        (job_id,) = await self.enqueue_many([(function, *args)], **fields)
        return job_id

    async def enqueue_many(self, calls: Sequence[tuple[Any, ...]], **fields: Any) -> list[str]:
        """Enqueue jobs, in batches; return their ids in order."""
        jobs = [self._job(*call, **fields) for call in calls]
        for shard in self.shards:
            mine = [job for job in jobs if self.shards.of(job.id) is shard]
            for start in range(0, len(mine), 500):
                await until_async(partial(_enqueued, shard, mine[start : start + 500]), wanted="the master")
        return [job.id for job in jobs]

    async def view(self, job_id: str) -> JobView:
        """Return the job as users see it."""
        shard = await find_shard(self.shards, job_id)
        assert shard is not None, f"no job {job_id}"
        (found,) = await view_jobs(shard, [job_id], FUNCTIONS)
        assert found is not None
        return found

    async def wait_until_ended(self, job_id: str) -> JobView:
        """Wait until the job has ended."""
        return await self.wait_for_status(job_id, "finished", "failed", "stopped", "canceled")

    async def wait_for_status(self, job_id: str, *statuses: str) -> JobView:
        """Wait until the job has one of these statuses."""

        async def look() -> JobView | None:
            try:
                found = await self.view(job_id)
            except ShardUnavailable:
                return None
            return found if found.status in statuses else None

        found = await until_async(look, wanted=f"{job_id} to be {statuses}")
        assert found is not None
        return found

    async def value(self, job_id: str) -> Any:
        """Wait until the job has finished; return its result."""
        ended = await self.wait_until_ended(job_id)
        assert ended.status == "finished", ended
        return json.loads(ended.result or b"null")

    def _job(self, function: str, *args: Any, **fields: Any) -> NewJob:
        name = function if function in FUNCTIONS.paths else f"{JOBS}.{function}"
        data = json.dumps([FUNCTIONS.paths[name], None, args, {}]).encode()
        return NewJob(**{"id": self.shards.new_id(), "function": name, "data": data, **fields})


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    shards = await Shards.connect(redis_url)
    yield Client(shards, redis_url)
    await shards.close()


async def _enqueued(shard: Shard, jobs: Sequence[NewJob]) -> bool:
    try:
        await enqueue(shard, jobs)
    except ShardUnavailable:
        return False
    return True


async def wait_for_file(path: Path) -> None:
    """Wait until a file exists."""

    async def exists() -> bool:
        return await asyncio.to_thread(path.exists)

    await until_async(exists, wanted=str(path))


@pytest_asyncio.fixture
async def make_harness() -> AsyncIterator[MakeHarness]:
    harnesses: list[SlotHarness] = []

    def make(
        max_jobs: int = 1_000_000,
        max_growth_bytes: int = 1 << 40,
        *,
        allow_pickle: bool = False,
        modules: str = JOBS,
        isolates: bool = False,
        reload_functions: bool = False,
        keep_output: str = "notable",
    ) -> SlotHarness:
        options = ExecutorOptions(
            tuple(modules.split(",")), allow_pickle, reload_functions=reload_functions, isolates=isolates
        )
        harness = SlotHarness(RecyclingLimits(max_jobs, max_growth_bytes), options, keep_output)
        harnesses.append(harness)
        return harness

    yield make
    for harness in harnesses:
        await harness.close()


@pytest_asyncio.fixture
async def harness(make_harness: MakeHarness) -> SlotHarness:
    return make_harness()
