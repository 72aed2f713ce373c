"""Fills a queue with a large system, and keeps it alive: jobs of all ends, queues, instances and a scaler's decisions.

Run as a program: `python -m benchmarks.harness.large_system URL JOBS READY_FILE`.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Failed, Finished, finish
from jobqueue.model import ALL_QUEUES, FailureReason, NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat
from scaler.fleets.instances import Instance
from scaler.state.leader_election import LeaderElector
from scaler.state.store import ScalerStore, StateUpdate

QUEUES = tuple(f"team-{number:03d}" for number in range(200))
INSTANCES = tuple(f"i-{number:017x}" for number in range(1000))
FUNCTIONS = ("noop", "sleep", "sha512", "http")
DECISIONS = 100
FAILED_SHARE = FINISHED_SHARE = 0.2
"""Of the jobs. The others wait."""
_BATCH = 500
_HEARTBEAT_SECONDS, _LEASE_SECONDS = 10.0, 2.0
_DATA = b'["worker_node.functions.noop", null, [], {}]'
_FLEET = "ec2:jobs"
_REASON = "LAUNCH 10: wait 9000 -> 100 job-seconds saves 8900s, cost 700s; queued=600000"
_KEPT = "KEEP 1000: the maximum of 1000 is reached; queued=600000"
_TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/orders.py", line {line}, in pay
    raise ValueError(order)
ValueError: order {order} of kind {kind} is unknown"""


def waiting_job(jobs: int) -> str:
    """Return the id of a job in the middle of its queue."""
    return f"waiting-{jobs // 4}"


def failed_job(jobs: int) -> str:
    """Return the id of a job that has failed."""
    return f"failed-{round(jobs * FAILED_SHARE) // 2}"


async def _fill(url: str, jobs: int, on_ready: Callable[[], None]) -> None:
    (shard,) = await Shards.connect(url)
    failed, finished = round(jobs * FAILED_SHARE), round(jobs * FINISHED_SHARE)
    for kind, count in (("failed", failed), ("finished", finished), ("waiting", jobs - failed - finished)):
        for first in range(0, count, _BATCH):
            queue = QUEUES[first // _BATCH % len(QUEUES)]
            batch = [_job(f"{kind}-{number}", number, queue) for number in range(first, min(first + _BATCH, count))]
            await enqueue(shard, batch)
            if kind != "waiting":
                await _end(shard, queue, len(batch), kind)
    await _add_instances(shard)
    elector = LeaderElector(shard, "manager-1.internal.example.com:5000")
    leadership = await elector.acquire()
    await _decide(ScalerStore(shard, elector), leadership.epoch)
    on_ready()
    beat_at = 0.0
    while True:
        await elector.acquire()
        if time.monotonic() - beat_at >= _HEARTBEAT_SECONDS:
            beat_at = time.monotonic()
            for name in INSTANCES:
                await send_worker_heartbeat(shard, name, _heartbeat(name))
        await asyncio.sleep(_LEASE_SECONDS)


def _job(job_id: str, number: int, queue: str) -> NewJob:
    return NewJob(id=job_id, function=FUNCTIONS[number % len(FUNCTIONS)], data=_DATA, queue=queue)


async def _end(shard: Shard, queue: str, count: int, kind: str) -> None:
    while count:
        claimed = await claim(shard, "load", [queue], count, lease_seconds=3600)
        count -= len(claimed)
        await finish(shard, "load", _finished(claimed) if kind == "finished" else _failed(claimed))


def _finished(claimed: Sequence[ClaimedJob]) -> list[Finished | Failed]:
    return [Finished(job, "noop", 0.1, b"bnVsbA==", False) for job in claimed]


def _failed(claimed: Sequence[ClaimedJob]) -> list[Finished | Failed]:
    return [
        Failed(
            *(job, FUNCTIONS[number % len(FUNCTIONS)], 0.1, FailureReason.EXCEPTION),
            _TRACEBACK.format(line=number % 7, order=number, kind="abc"[number % 3]),
        )
        for number, job in enumerate(claimed)
    ]


async def _add_instances(shard: Shard) -> None:
    for number, name in enumerate(INSTANCES):
        await register(shard, WorkerRecord(name, f"ip-10-0-0-{number}", 1, ALL_QUEUES, 8, _FLEET, name))
        await send_worker_heartbeat(shard, name, _heartbeat(name))


def _heartbeat(name: str) -> WorkerHeartbeat:
    return WorkerHeartbeat("busy", 7, 10, 2, 1.0, jobs=[f"{name}-job-{number}" for number in range(5)])


async def _decide(store: ScalerStore, epoch: int) -> None:
    now = time.time()
    report = {"at": now, "fleet": _FLEET, "reason": _KEPT, "numbers": {"queued": 600_000}}
    instances = [
        Instance(name, now - 600, kind="c7g.2xlarge", zone="eu-central-1a", market="spot", arrived_at=now - 500)
        for name in INSTANCES
    ]
    await store.save(epoch, StateUpdate(instances, documents={"report": report}))
    for number in range(DECISIONS):
        numbers = {"queued": 600_000, "idle": 0}
        decision = {"at": now - number, "epoch": epoch, "launch": 10, "drain": 0, "reason": _REASON, "numbers": numbers}
        await store.save(epoch, StateUpdate([], decision=decision))


if __name__ == "__main__":
    asyncio.run(_fill(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).touch))
