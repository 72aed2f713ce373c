"""Starts operations, and works through them as managers do."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from jobqueue import keys
from jobqueue.audit import Author
from jobqueue.functions import FunctionRegistry
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.shards import Shards
from jobqueue.timestamps import iso
from manager.operations.operation import Action, JobFilter, Operation
from manager.operations.runner import OperationRunner
from manager.operations.store import create_operation, read_operation
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.job_operations import JobOperations
from manager.queue.job_wait import StatusReader
from tests.integration.jobqueue.queue_helpers import failed_outcome, new_job

AUTHOR = Author("tester", "127.0.0.1", "request")
LATER = 4_000_000_000.0
"""A time at which every lease is over."""


class Harness:
    """The operations of one queue."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self.shard = shards.all[0]
        self.functions = FunctionRegistry.discover(())

    def manager(self) -> OperationRunner:
        """Return what a manager works through operations with."""
        return OperationRunner(self.shards, JobOperations(self.shards, ShardBreaker()), self.functions)

    async def submit(self, *job_ids: str, **fields: Any) -> None:
        """Submit jobs."""
        for shard in self.shards:
            jobs = [new_job(job_id)._replace(**fields) for job_id in job_ids if self.shards.of(job_id) is shard]
            if jobs:
                await enqueue(shard, jobs)

    async def fail(self, *queues: str) -> None:
        """Let all queued jobs of these queues fail."""
        for shard in self.shards:
            while jobs := await claim(shard, "w", queues or ("default",), 500, lease_seconds=60):
                await finish(shard, "w", [failed_outcome(job) for job in jobs])

    async def start(
        self, action: Action, *, dry_run: bool = False, queues: Sequence[str] = (), **wanted: Any
    ) -> Operation:
        """Start an operation."""
        operation = Operation(
            *(f"{action}-1", action, JobFilter(**wanted), dry_run),
            queues=tuple(queues),
            actor="tester",
            created_at=iso(None),
        )
        assert await create_operation(self.shard, operation, AUTHOR) == "created"
        return operation

    async def run(self, action: Action, **options: Any) -> Operation:
        """Start an operation, work through it, and return how it has ended."""
        operation = await self.start(action, **options)
        assert await self.manager().run_next()
        return await self.read(operation.id)

    async def read(self, operation_id: str) -> Operation:
        """Return an operation."""
        operation = await read_operation(self.shard, operation_id)
        assert operation is not None
        return operation

    async def statuses(self, *job_ids: str) -> list[str | None]:
        """Return the statuses of jobs."""
        return list((await StatusReader(self.shards, lambda _: True).read(job_ids)).values())

    async def count(self, *job_ids: str) -> Counter[str | None]:
        """Count jobs by status."""
        return Counter(await self.statuses(*job_ids))

    async def open_operations(self) -> int:
        """Return how many operations have not ended."""
        (count,) = await self.shard.execute(("ZCARD", keys.open_operations(self.shard.prefix)))
        return int(count)
