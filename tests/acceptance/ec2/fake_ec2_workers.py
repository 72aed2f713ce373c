"""Fake workers for instances that do not run: they use the queue as a worker's agent does, but run no code."""

import asyncio
import base64
import threading
import time
from typing import Self

from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.finish import Finished, finish
from jobqueue.model import DEFAULT_QUEUE, ClaimedJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.messages import WorkerCommand, wait_for_message
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat, unregister
from tests.ec2.event_log import EventLog

BOOT_SECONDS = 2.0
HEARTBEAT_SECONDS = 1.0
LEASE_SECONDS = 300.0
QUEUES = (DEFAULT_QUEUE,)


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
        for result in await asyncio.gather(*agents.values(), return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await shards.close()

    async def _work(self, shard: Shard, instance_id: str) -> None:
        name = instance_id
        await register(shard, WorkerRecord(name, name, 1, QUEUES, 1, "ec2:workmanager", instance_id))
        heartbeat_task = asyncio.create_task(self._beat(shard, name))
        while not isinstance(await wait_for_message(shard, name, QUEUES, for_work=True, seconds=1.0), WorkerCommand):
            while jobs := await claim(shard, name, QUEUES, 1, lease_seconds=LEASE_SECONDS):
                await self._run_job(shard, name, jobs[0])
        heartbeat_task.cancel()
        await unregister(shard, name, QUEUES)

    async def _run_job(self, shard: Shard, name: str, job: ClaimedJob) -> None:
        self.busy.add(name)
        await asyncio.sleep(self._job_seconds)
        while not self.may_finish.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.1)
        await finish(shard, name, [Finished(job, "work", self._job_seconds, base64.b64encode(b"null"))])
        self.busy.discard(name)

    async def _beat(self, shard: Shard, name: str) -> None:
        while True:
            running = int(name in self.busy)
            await send_worker_heartbeat(shard, name, WorkerHeartbeat("busy" if running else "idle", running, 0, 0, 0.0))
            await asyncio.sleep(HEARTBEAT_SECONDS)
