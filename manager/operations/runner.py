"""Works through operations, a step at a time. Every manager does so; each operation is leased to one of them.

A step is found, carried out, and then saved. If its manager dies in between, another one repeats it: what it has
changed does not match any more, so nothing is changed twice.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from redis.exceptions import RedisError

from jobqueue.backoff import Outage
from jobqueue.errors import JobQueueError, ShardUnavailable
from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.listing import InvalidCursor
from jobqueue.job_view import JobView
from jobqueue.sharding.shards import Shards
from manager.api_keys.caller import Caller
from manager.operations.operation import Operation, Position, Progress
from manager.operations.search import Found, find, sources
from manager.operations.store import claim_operation, drop_operation, save_operation
from manager.queue.job_operations import JobOperations

POLL_SECONDS = 0.5
RETRY_SECONDS = 5.0
"""How long an operation is left alone when a shard does not answer."""
CHANGED_TOGETHER = {"requeue": 200, "cancel": 50, "delete": 50}
"""A job that is canceled or deleted may have to be looked for in a long queue: Redis serves nobody else meanwhile."""
MAX_PAUSE_SECONDS = 1.0
_DONE = {"requeue": ("queued", "deferred"), "cancel": ("canceled", "stopping"), "delete": ("deleted",)}
"""What an action on one job answers if it has changed it."""

log = logging.getLogger(__name__)


class OperationRunner:
    """Works through operations until it is stopped.

    Args:
        functions: gives the public names of the functions that jobs call.
    """

    def __init__(self, shards: Shards, jobs: JobOperations, functions: FunctionRegistry) -> None:
        self._shards = shards
        self._jobs = jobs
        self._functions = functions
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to work, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop; another manager goes on within `LEASE_SECONDS`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        outage = Outage()
        while True:
            try:
                found = await self.run_next()
            except (JobQueueError, RedisError, OSError) as error:
                found = False
                if outage.begin():
                    log.warning("event=operations_failed error=%s", error)
            except Exception as error:  # The loop's edge: an unforeseen error must not end the manager.
                found = False
                if outage.begin(repr(error)):
                    log.exception("event=operations_crashed")
            else:
                if (seconds := outage.end()) is not None:
                    log.info("event=operations_recovered after_seconds=%.1f", seconds)
            if not found:
                await asyncio.sleep(POLL_SECONDS)

    async def run_next(self, *, max_steps: int | None = None, now: float | None = None) -> bool:
        """Work on the oldest operation that nobody works on, to its end; return whether there was one.

        Args:
            max_steps: stop after so many, as if this manager had died.

        Raises:
            ShardUnavailable: the first shard is unavailable.
        """
        shard, token = self._shards.all[0], secrets.token_hex(8)
        claimed = await claim_operation(shard, token, now=now)
        if claimed is None:
            return False
        operation_id, operation = claimed
        if operation is None:
            log.error("event=operation_unreadable operation=%s", operation_id)
            await drop_operation(shard, operation_id)
            return True
        answer, steps = "canceling" if operation.status == "canceling" else "saved", 0
        while answer == "saved" and operation.progress.position.source < len(sources(operation)):
            if steps == max_steps:
                return True
            steps += 1
            began_at = asyncio.get_running_loop().time()
            try:
                operation = operation.at(await self._step(operation))
            except ShardUnavailable as error:
                return await self._put_off(operation, token, str(error), now)
            except InvalidCursor:
                operation = operation.at(replace(operation.progress, position=Position(len(sources(operation)))))
            answer = await save_operation(shard, operation, token, now=now)
            # Half of the time is left to others.
            await asyncio.sleep(min(MAX_PAUSE_SECONDS, asyncio.get_running_loop().time() - began_at))
        if answer == "lost":
            return True
        ended = "canceled" if answer == "canceling" else "finished"
        progress = operation.progress
        await save_operation(shard, operation, token, ended=ended, now=now)
        log.info(
            "event=operation_ended operation=%s status=%s action=%s matched=%d changed=%d refused=%d",
            *(operation.id, ended, operation.action, progress.matched, progress.changed, progress.refused),
        )
        return True

    async def _put_off(self, operation: Operation, token: str, why: str, now: float | None) -> bool:
        waiting = operation.at(replace(operation.progress, note=why))
        await save_operation(
            self._shards.all[0], waiting, token, ended="released", lease_seconds=RETRY_SECONDS, now=now
        )
        return False

    async def _step(self, operation: Operation) -> Progress:
        """Search one page, and change what was found.

        Raises:
            ShardUnavailable: a shard is unavailable. The step is to be repeated.
        """
        sees = Caller.of("", (), operation.queues).sees if operation.queues else None
        found = await find(self._shards, self._functions, operation, sees)
        if found.shards_missing:
            raise ShardUnavailable(f"{found.shards_missing} of {len(self._shards)} shards do not answer")
        changed = 0 if operation.dry_run else await self._change_all(operation, found.jobs)
        before = operation.progress
        return Progress(
            _next(before.position, found, changed),
            before.searched + found.searched,
            before.matched + len(found.jobs),
            before.changed + changed,
            before.refused + (0 if operation.dry_run else len(found.jobs) - changed),
        )

    async def _change_all(self, operation: Operation, jobs: Sequence[JobView]) -> int:
        """Change jobs, each only if it is still in the queue that it was found in; return how many were."""
        answers = Counter[str]()
        for start in range(0, len(jobs), CHANGED_TOGETHER[operation.action]):
            part = jobs[start : start + CHANGED_TOGETHER[operation.action]]
            answers.update(await asyncio.gather(*(self._change(operation.action, job) for job in part)))
        return sum(answers[answer] for answer in _DONE[operation.action])

    async def _change(self, action: str, job: JobView) -> str:
        match action:
            case "requeue":
                return await self._jobs.requeue(job.id, job.queue)
            case "cancel":
                return (await self._jobs.cancel(job.id, job.queue)).outcome
        return await self._jobs.delete(job.id, job.queue)


def _next(at: Position, found: Found, changed: int) -> Position:
    """Return where the operation goes on after a page."""
    has_changed = at.has_changed or changed > 0
    if found.shifts and changed:
        # What stood behind the page has moved into it.
        return Position(at.source, at.cursor, has_changed)
    if found.cursor is not None:
        return Position(at.source, found.cursor, has_changed)
    # Workers take jobs from the head meanwhile, so that others have moved past the cursor.
    return Position(at.source) if found.shifts and has_changed else at.next_source()
