"""Random jobs with limits under random ends, losses, cancellations and changed numbers, against a model.

No limit is ever exceeded, and in the end every job that may run has run. `WORKMANAGER_TEST_LIMIT_SEEDS=1000:1100` plays
other seeds.
"""

import os
import random

import pytest

from jobqueue.claimed_job import ClaimedJob
from jobqueue.inspection.job_states import read_statuses
from jobqueue.lifecycle.claim import release
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.leases import reap
from jobqueue.lifecycle.limits import save_limit, sweep_limits
from jobqueue.model import Limit
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    LEASE_EXPIRED,
    NOW,
    claim_jobs,
    failed_outcome,
    new_job,
    shard_keys,
    sorted_set,
    success_outcome,
)

JOBS, STEPS = 60, 300
KEYS = ("a", "b", "c")
ANY_RATE = {"starts": 10**9, "seconds": 1.0, "burst": 10**9}
ANY_NUMBER = 10**6
FIRST_SEED, LAST_SEED = map(int, os.environ.get("WORKMANAGER_TEST_LIMIT_SEEDS", "1:7").split(":"))


class Model:
    """The jobs, and what may run."""

    def __init__(self, shard: Shard, seed: int) -> None:
        self.shard = shard
        self.random = random.Random(seed)
        self.places = {key: self.random.choice([1, 2, 5, ANY_NUMBER]) for key in KEYS}
        self.limits: dict[str, tuple[str, ...]] = {}
        self.running: dict[str, ClaimedJob] = {}

    async def begin(self) -> None:
        for key, places in self.places.items():
            await self.set_places(key, places)

    async def set_places(self, key: str, places: int) -> None:
        self.places[key] = places
        numbers = ANY_RATE if places == ANY_NUMBER else {"concurrency": places}
        await save_limit(self.shard, Limit(key, **numbers), now=NOW)

    async def submit(self) -> None:
        if len(self.limits) < JOBS:
            job_id = f"job-{len(self.limits)}"
            chosen = tuple(self.random.sample(KEYS, self.random.choice([0, 1, 1, 2, 3])))
            self.limits[job_id] = chosen
            fair_key = self.random.choice([None, None, "x", "y"])
            limits = tuple(Limit(key, **self.random.choice([ANY_RATE, {"concurrency": 9}])) for key in chosen)
            queue = self.random.choice(["one", "two"])
            await enqueue(self.shard, [new_job(job_id, queue=queue, limits=limits, fair_key=fair_key)], now=NOW)

    async def claim(self) -> None:
        await self.claim_from(*self.random.choice([("one",), ("two", "one"), ("*",)]))

    async def claim_from(self, *queues: str) -> None:
        for job in await claim_jobs(self.shard, self.random.choice([1, 2, 8]), *queues):
            self.running[job.id] = job
        self.check()

    def check(self) -> None:
        for key, places in self.places.items():
            holders = [job_id for job_id in self.running if key in self.limits[job_id]]
            assert len(holders) <= places, f"{key}: {holders}"

    async def end(self) -> None:
        if self.running:
            job = self.running.pop(self.random.choice(sorted(self.running)))
            way = self.random.choice(["finish", "finish", "fail", "release"])
            if way == "release":
                await release(self.shard, [job], now=NOW)
            else:
                await finish(self.shard, "w1", [(success_outcome if way == "finish" else failed_outcome)(job)], now=NOW)

    async def lose(self) -> None:
        if self.random.random() < 0.2:
            await reap(self.shard, now=LEASE_EXPIRED)
            self.running.clear()

    async def cancel(self) -> None:
        job_id = self.random.choice([*self.limits, "nobody"])
        if job_id not in self.running:
            await cancel(self.shard, [job_id], now=NOW)

    async def requeue(self) -> None:
        await requeue(self.shard, [self.random.choice([*self.limits, "nobody"])], now=NOW)

    async def delete(self) -> None:
        if self.random.random() < 0.3:
            await delete(self.shard, [self.random.choice([*self.limits, "nobody"])], now=NOW)

    async def change(self) -> None:
        key = self.random.choice(KEYS)
        # A job that was lost before, and was put back to be claimed alone, holds its place.
        statuses = await read_statuses(self.shard, list(self.limits))
        put_back = [job_id for job_id, status in zip(self.limits, statuses, strict=True) if status == "queued"]
        held = [job_id for job_id in [*self.running, *put_back] if key in self.limits[job_id]]
        await self.set_places(key, max(len(held), self.random.choice([0, 1, 3, ANY_NUMBER])))

    async def come_to_rest(self) -> None:
        """Run all that may run, one after the other, as workers do."""
        for key in KEYS:
            await self.set_places(key, max(self.places[key], 1))
        idle = 0
        while idle < 3:
            await self.claim_from(*self.random.choice([("one", "two"), ("*",)]))
            idle = 0 if self.running else idle + 1
            for job in self.running.values():
                await finish(self.shard, "w1", [success_outcome(job)], now=NOW)
            self.running.clear()


@pytest.mark.parametrize("seed", range(FIRST_SEED, LAST_SEED))
async def test_limits_hold_and_nothing_waits_for_ever(plain_shard: Shard, seed: int) -> None:
    model = Model(plain_shard, seed)
    await model.begin()
    steps = {
        model.submit: 6,
        model.claim: 6,
        model.end: 6,
        model.lose: 1,
        model.cancel: 1,
        model.requeue: 2,
        model.delete: 1,
        model.change: 1,
    }
    for _ in range(STEPS):
        (step,) = model.random.choices(list(steps), list(steps.values()))
        await step()
    await model.come_to_rest()
    statuses = await read_statuses(plain_shard, list(model.limits))
    assert not {"queued", "deferred", "started"} & set(statuses), dict(zip(model.limits, statuses, strict=True))
    left = await shard_keys(plain_shard)
    assert not [key for key in left if key.startswith(("wm:limit-holders:", "wm:ring:", "wm:later:", "deferred:"))]
    assert await sweep_limits(plain_shard, "0") == ("0", 0)
    assert (await sorted_set(plain_shard, "wm:leases")) == {}
