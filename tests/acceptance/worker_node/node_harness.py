"""Two slots of a worker with real executors and the real watchdog, on a queue in memory instead of Redis."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, cast

from jobqueue.claimed_job import ClaimedJob
from jobqueue.errors import ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.finish import Outcome
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from tests.unit.worker_node.claimed_job import claimed_job
from tests.waiting import DEADLINE_SECONDS, until_async
from worker_node.jobs_in_hand import JobsInHand
from worker_node.redaction import Redaction
from worker_node.shard_loops.finisher import Finisher
from worker_node.shard_loops.note_writer import NoteWriter
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.recycling import RecyclingLimits

POLL_SECONDS = 0.002


class Node:
    """Runs the jobs of its queue. What is released comes back into the queue, as at another worker.

    Attributes:
        ended: the outcomes of each job, by id.
        releases: how often jobs were released.
    """

    def __init__(self, modules: Sequence[str], slots: int = 2) -> None:
        self.ended: dict[str, list[Outcome]] = {}
        self.releases = 0
        self._queue: deque[ClaimedJob] = deque()
        self._number = 0
        functions = FunctionRegistry.load(modules)
        self.jobs = JobsInHand(
            cast(Shards, _NoShards()),
            [cast(Finisher, self)],
            [NoteWriter(cast(Shard, _NoShards()), Redaction())],
            slots=slots,
            executor=ExecutorOptions(tuple(modules), allow_pickle=False),
            limits=RecyclingLimits(1_000_000, 1 << 40),
            functions=functions,
            keep_output="notable",
            on_capacity_freed=lambda: None,
            on_long_running=lambda shard_index: None,
        )
        self._loops = [asyncio.create_task(loop) for loop in (*self.jobs.loops(), self._claim())]

    def enqueue(self, function: str, *args: Any, **changes: Any) -> str:
        """Enqueue a job; return its id."""
        self._number += 1
        job_id = f"job-{self._number}"
        data = json.dumps([function, None, args, {}]).encode()
        self._queue.append(claimed_job(**{"id": job_id, "data": data, "timeout_seconds": 30, **changes}))
        return job_id

    @property
    def has_queued(self) -> bool:
        """Whether a job waits that no slot has taken."""
        return bool(self._queue)

    async def outcomes(self, ids: Sequence[str]) -> list[Outcome]:
        """Wait until these jobs have ended; return how, in the same order. None ends twice."""

        async def check() -> bool:
            for loop in self._loops:
                assert not loop.done(), loop
            return set(ids) <= set(self.ended)

        await until_async(check, wanted="the end of all jobs")
        assert all(len(outcomes) == 1 for outcomes in self.ended.values()), "a job ended twice"
        return [self.ended[job_id][0] for job_id in ids]

    async def close(self) -> None:
        """Stop the slots and their executors."""
        self.jobs.stop()
        await asyncio.wait_for(self.jobs.wait_until_ended(), DEADLINE_SECONDS)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self.jobs.cancel_answers()

    # As a finisher.

    idle = True

    async def run(self) -> None:
        """Nothing is left to do."""
        await asyncio.Event().wait()

    def finish(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes."""
        for outcome in outcomes:
            self.ended.setdefault(outcome.job.id, []).append(outcome)

    def release(self, jobs: Sequence[ClaimedJob]) -> None:
        """Put jobs back."""
        self.releases += len(jobs)
        self._queue.extend(jobs)

    async def _claim(self) -> None:
        while True:
            wanted = min(self.jobs.slots.jobs_wanted(), len(self._queue))
            if wanted:
                self.jobs.accept([self._queue.popleft() for _ in range(wanted)])
            await asyncio.sleep(POLL_SECONDS)


class _NoShards:
    """Redis is unavailable for the queries of jobs."""

    prefix = "none"

    def __iter__(self) -> Iterator["_NoShards"]:
        return iter(self.all)

    @property
    def all(self) -> Sequence["_NoShards"]:
        return (self,)

    async def execute(self, *commands: Any) -> Any:
        raise ShardUnavailable("there is none")
