"""Real workers on a real Redis."""

from __future__ import annotations

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
from jobqueue.inspection.job_views import find_shard, view_jobs
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import JobView, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.acceptance.worker_node.slot_harness import JOBS, MakeHarness, SlotHarness
from tests.processes import children_of
from tests.waiting import DEADLINE_SECONDS, until, until_async
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.recycling import RecyclingLimits

MODULE = JOBS
FUNCTIONS = FunctionRegistry.discover([MODULE])


class Worker:
    """A worker process."""

    def __init__(self, url: str, log: Path, *arguments: str, pass_fds: Sequence[int] = (), **settings: str) -> None:
        self.log = log
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
        environ |= {"WORKMANAGER_FUNCTIONS": MODULE} | {f"WORKMANAGER_{name}": text for name, text in settings.items()}
        command = [sys.executable, "-m", "worker_node", "--redis-url", url, "--slots", "1", *arguments]
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(command, env=environ, stderr=stderr, pass_fds=pass_fds)

    @property
    def log_text(self) -> str:
        """Its log so far."""
        return self.log.read_text()

    def wait_until_started(self) -> None:
        """Waits until it has begun to claim."""
        until(lambda: "event=worker_started" in self.log_text, wanted="the worker's start")

    def executors(self) -> list[int]:
        """Its executors' process ids."""
        return children_of(self.process.pid)

    def terminate(self) -> int:
        """Sends SIGTERM and waits; the exit code."""
        self.process.terminate()
        return self.wait()

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Waits for its end; the exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9 of the whole node."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


MakeWorker = Callable[..., Worker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[MakeWorker]:
    workers: list[Worker] = []

    def start(url: str, *arguments: str, pass_fds: Sequence[int] = (), **settings: str) -> Worker:
        worker = Worker(url, tmp_path / f"worker{len(workers)}.log", *arguments, pass_fds=pass_fds, **settings)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.kill()
        assert "Traceback" not in worker.log_text, worker.log_text


class Client:
    """Puts jobs in and looks at them."""

    def __init__(self, shards: Shards, url: str) -> None:
        self.shards = shards
        self.url = url

    async def enqueue(self, function: str, *args: Any, **fields: Any) -> str:
        """Enqueues one job; its id."""
        (job_id,) = await self.enqueue_many([(function, *args)], **fields)
        return job_id

    async def enqueue_many(self, calls: Sequence[tuple[Any, ...]], **fields: Any) -> list[str]:
        """Enqueues jobs, in batches; their ids in order."""
        jobs = [self._job(*call, **fields) for call in calls]
        for shard in self.shards:
            mine = [job for job in jobs if self.shards.of(job.id) is shard]
            for start in range(0, len(mine), 500):
                await until_async(partial(_enqueued, shard, mine[start : start + 500]), wanted="the master")
        return [job.id for job in jobs]

    async def view(self, job_id: str) -> JobView:
        """The job as users see it."""
        shard = await find_shard(self.shards, job_id)
        assert shard is not None, f"no job {job_id}"
        (found,) = await view_jobs(shard, [job_id], FUNCTIONS)
        assert found is not None
        return found

    async def wait_until_ended(self, job_id: str) -> JobView:
        """Waits for the job's end."""
        return await self.wait_for_status(job_id, "finished", "failed", "stopped", "canceled")

    async def wait_for_status(self, job_id: str, *statuses: str) -> JobView:
        """Waits for one of these statuses."""

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
        """Waits for the job's success; its result."""
        ended = await self.wait_until_ended(job_id)
        assert ended.status == "finished", ended
        return json.loads(ended.result or b"null")

    def _job(self, function: str, *args: Any, **fields: Any) -> NewJob:
        name = function if function in FUNCTIONS.paths else f"{MODULE}.{function}"
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


async def wait_for(path: Path) -> None:
    """Waits for a file."""

    async def exists() -> bool:
        return await asyncio.to_thread(path.exists)

    await until_async(exists, wanted=str(path))


@pytest_asyncio.fixture
async def make_bench() -> AsyncIterator[MakeHarness]:
    benches: list[SlotHarness] = []

    def make(
        max_jobs: int = 1_000_000, max_growth_bytes: int = 1 << 40, *, allow_pickle: bool = False, modules: str = JOBS
    ) -> SlotHarness:
        bench = SlotHarness(RecyclingLimits(max_jobs, max_growth_bytes), ExecutorOptions((modules,), allow_pickle))
        benches.append(bench)
        return bench

    yield make
    for bench in benches:
        await bench.close()


@pytest_asyncio.fixture
async def bench(make_bench: MakeHarness) -> SlotHarness:
    return make_bench()
