"""Fake workers for instances that do not run: they use the queue as a worker's agent does, but run no code."""

import asyncio
import base64
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self, TypeVar

from jobqueue.claimed_job import ClaimedJob
from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.finish import Finished, finish
from jobqueue.model import DEFAULT_QUEUE
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import WorkerCommand, wait_for_message
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat, unregister
from tests.ec2.event_log import EventLog

BOOT_SECONDS = 2.0
HEARTBEAT_SECONDS = 1.0
LEASE_SECONDS = 300.0
QUEUES = (DEFAULT_QUEUE,)
T = TypeVar("T")


class FakeWorkers:
    """One fake worker per launched instance, all in one thread.

    Args:
        job_seconds: minimum duration of each job.

    Attributes:
        busy: ids of the instances that run a job now.
        may_finish: no job ends before this is set.
    """

    def __init__(self, redis_url: str, events: EventLog, job_seconds: float) -> None:
        self._redis_url = redis_url
        self._events = events
        self._job_seconds = job_seconds
        self.busy: set[str] = set()
        self.may_finish = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _run(self) -> None:
        shards = await Shards.connect(self._redis_url)
        (shard,) = shards
        agents: dict[str, asyncio.Task[None]] = {}
        while not self._stopping.is_set():
            for launch in self._events.alive:
                booted = time.monotonic() - launch.launched_at > BOOT_SECONDS
                if booted and launch.instance_id not in agents:
                    agents[launch.instance_id] = asyncio.create_task(self._work(shard, launch.instance_id))
            await asyncio.sleep(0.1)
        for agent in agents.values():
            agent.cancel()
        results = await asyncio.gather(*agents.values(), return_exceptions=True)
        await shards.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _work(self, shard: Shard, instance_id: str) -> None:
        name = instance_id
        record = WorkerRecord(name, name, 1, QUEUES, 1, "ec2:workmanager", instance_id)
        await _repeated(lambda: register(shard, record))
        heartbeat_task = asyncio.create_task(self._beat(shard, name))
        while not isinstance(await _repeated(lambda: _message(shard, name)), WorkerCommand):
            while jobs := await self._claim(shard, name):
                await self._run_job(shard, name, jobs[0])
        heartbeat_task.cancel()
        await _repeated(lambda: unregister(shard, name, QUEUES))

    async def _claim(self, shard: Shard, name: str) -> list[ClaimedJob]:
        token = secrets.token_hex(8)
        return await _repeated(lambda: claim(shard, name, QUEUES, 1, lease_seconds=LEASE_SECONDS, token=token))

    async def _run_job(self, shard: Shard, name: str, job: ClaimedJob) -> None:
        self.busy.add(name)
        await asyncio.sleep(self._job_seconds)
        while not self.may_finish.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.1)
        finished = [Finished(job, "work", self._job_seconds, base64.b64encode(b"null"))]
        await _repeated(lambda: finish(shard, name, finished))
        self.busy.discard(name)

    async def _beat(self, shard: Shard, name: str) -> None:
        while True:
            running = int(name in self.busy)
            heartbeat = WorkerHeartbeat("busy" if running else "idle", running, 0, 0, 0.0)
            with suppress(ShardUnavailable):
                await send_worker_heartbeat(shard, name, heartbeat)
            await asyncio.sleep(HEARTBEAT_SECONDS)


def _message(shard: Shard, name: str) -> Awaitable[object]:
    return wait_for_message(shard, name, QUEUES, for_work=True, seconds=1.0)


async def _repeated(call: Callable[[], Awaitable[T]]) -> T:
    """Call until Redis answers in time, which it may not on a busy machine."""
    while True:
        with suppress(ShardUnavailable):
            return await call()
        await asyncio.sleep(0.1)
