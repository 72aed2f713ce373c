"""Random graphs of jobs under random ends, cancellations, returns and interrupted steps, against a model.

Nothing runs before its parents have ended as it needs, and in the end nothing waits for a job that has ended.
`WORKMANAGER_TEST_GRAPH_SEEDS=1000:1100` plays other seeds.
"""

import os
import random
from collections import defaultdict

import pytest

from jobqueue import keys
from jobqueue.claimed_job import ClaimedJob
from jobqueue.inspection.job_states import read_statuses
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.dependencies import register, settle
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.maintenance.deferred_jobs import recheck_deferred
from jobqueue.model import ENDED, FINISHED, Dependency
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    failed_outcome,
    job_fields,
    new_job,
    shard_keys,
    stopped_outcome,
    success_outcome,
)

JOBS, STEPS = 30, 150
FIRST_SEED, LAST_SEED = map(int, os.environ.get("WORKMANAGER_TEST_GRAPH_SEEDS", "1:4").split(":"))
OVER = {"failed", "stopped", "canceled", None}


class Graph:
    """Jobs and their edges, as the model knows them."""

    def __init__(self, shards: Shards, seed: int) -> None:
        self.shards = shards
        self.random = random.Random(seed)
        self.parents: dict[str, tuple[Dependency, ...]] = {}
        self.ends: dict[str, set[str]] = defaultdict(set)
        self.running: list[ClaimedJob] = []

    def choose(self) -> str | None:
        return self.random.choice(list(self.parents)) if self.parents else None

    async def submit(self) -> None:
        if len(self.parents) == JOBS:
            return
        job_id = self.shards.new_id(self.random.choice(self.shards.all))
        alive = [each for each in self.parents if "deleted" not in self.ends[each]]
        chosen = self.random.sample(alive, min(len(alive), self.random.choice([0, 0, 1, 1, 2, 3])))
        depends_on = tuple(Dependency(each, self.random.choice([FINISHED, FINISHED, ENDED])) for each in chosen)
        shard = self.shards.of(job_id)
        self.parents[job_id] = depends_on
        await enqueue(shard, [new_job(job_id, depends_on=depends_on or None)])
        if depends_on and self.random.random() < 0.7:  # Else its manager died here.
            await register(self.shards, shard, [job_id])

    async def claim(self) -> None:
        for job in await claim_jobs(self.random.choice(self.shards.all), self.random.choice([1, 3])):
            self.running.append(job)
            for parent, awaited in self.parents[job.id]:
                ends = self.ends[parent]
                is_met = "finished" in ends or (awaited == ENDED and (ends or self.may_have_been_canceled(parent)))
                assert is_met, f"{job.id} runs before {parent}: {ends}"

    def may_have_been_canceled(self, job_id: str) -> bool:
        """Return whether one of its parents did not finish. It may have returned with that one since, unseen."""
        return any(
            awaited == FINISHED and (self.ends[parent] - {"finished"} or self.may_have_been_canceled(parent))
            for parent, awaited in self.parents[job_id]
        )

    async def end(self, *, only_success: bool = False) -> None:
        if not self.running:
            return
        job = self.running.pop(self.random.randrange(len(self.running)))
        status = "finished" if only_success else self.random.choice(["finished", "finished", "failed", "stopped"])
        outcome: Outcome = success_outcome(job)
        if status == "failed":
            outcome = failed_outcome(job)
        elif status == "stopped":
            outcome = stopped_outcome(job)
        await finish(self.shards.of(job.id), "w1", [outcome])
        (now,) = await read_statuses(self.shards.of(job.id), [job.id])
        self.ends[job.id].add(now or "finished")

    async def cancel(self) -> None:
        job_id = self.choose()
        if job_id is not None and job_id not in {job.id for job in self.running}:
            (result,) = await cancel(self.shards.of(job_id), [job_id])
            if result.outcome == "canceled":
                self.ends[job_id].add("canceled")

    async def requeue(self) -> None:
        job_id = self.choose()
        if job_id is not None:
            await requeue(self.shards.of(job_id), [job_id])

    async def delete(self) -> None:
        job_id = self.choose()
        if job_id is not None and self.random.random() < 0.3:
            (answer,) = await delete(self.shards.of(job_id), [job_id])
            if answer == "deleted":
                self.ends[job_id].add("deleted")

    async def settle(self) -> None:
        await settle(self.random.choice(self.shards.all), self.random.choice([None, self.shards]))

    async def maintain(self) -> None:
        shard = self.random.choice(self.shards.all)
        (waiting,) = await shard.execute(("ZRANGE", keys.registering(shard.prefix), 0, -1))
        await register(self.shards, shard, [job_id.decode() for job_id in waiting])
        if self.random.random() < 0.1:
            await recheck_deferred(self.shards, shard, "default", 0)

    async def note_canceled_children(self) -> None:
        for job_id in self.parents:
            (status,) = await read_statuses(self.shards.of(job_id), [job_id])
            if status == "canceled":
                self.ends[job_id].add("canceled")

    async def come_to_rest(self) -> None:
        """Do what maintenance does, and run what is queued, until there is nothing left to do."""
        for _ in range(20 * JOBS):
            busy = False
            for shard in self.shards:
                busy = await settle(shard, self.shards) > 0 or busy
                (waiting,) = await shard.execute(("ZRANGE", keys.registering(shard.prefix), 0, -1))
                await register(self.shards, shard, [job_id.decode() for job_id in waiting])
                await self.note_canceled_children()
                for job in await claim_jobs(shard, JOBS):
                    self.running.append(job)
                busy = busy or bool(waiting)
            busy = busy or bool(self.running)
            while self.running:
                await self.end(only_success=True)
            if not busy:
                return
        raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("seed", range(FIRST_SEED, LAST_SEED))
async def test_nothing_runs_too_early_and_nothing_waits_for_ever(any_shards: Shards, seed: int) -> None:
    graph = Graph(any_shards, seed)
    step = {
        graph.submit: 6,
        graph.claim: 5,
        graph.end: 5,
        graph.cancel: 1,
        graph.requeue: 3,
        graph.delete: 1,
        graph.settle: 3,
        graph.maintain: 2,
    }
    for _ in range(STEPS):
        (chosen,) = graph.random.choices(list(step), list(step.values()))
        await chosen()
        await graph.note_canceled_children()
    await graph.come_to_rest()
    for job_id, parents in graph.parents.items():
        (status,) = await read_statuses(any_shards.of(job_id), [job_id])
        assert status not in ("deferred", "queued", "started"), job_id
        fields = await job_fields(any_shards.of(job_id), job_id)
        if fields.get("wm_reason") == "dependency_failed":
            parent = fields["wm_failed_parent"]
            (parent_status,) = await read_statuses(any_shards.of(parent), [parent])
            assert parent in [each for each, _ in parents]
            assert parent_status in OVER, f"{job_id} is canceled although {parent} is {parent_status}"
    left = {key for shard in any_shards for key in await shard_keys(shard)}
    assert not [key for key in left if key.startswith(("wm:settle", "wm:registering", "deferred:", "wm:children:"))]
