"""Periodic maintenance, run by every manager: enqueue due jobs, reap lost ones, expire results, prune the registries.

Each step is one atomic script, so any number of managers may run it at the same time.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.audit import trim_audit
from jobqueue.backoff import Outage
from jobqueue.errors import JobQueueError, NotPermitted, ShardUnavailable
from jobqueue.inspection.listing import queue_names
from jobqueue.lifecycle.dependencies import settle
from jobqueue.lifecycle.dependents import enqueue_dependents
from jobqueue.lifecycle.leases import REAP_LIMIT, reap, reap_rq_executions, rescue
from jobqueue.lifecycle.limits import sweep_limits
from jobqueue.maintenance.deferred_jobs import RECHECK_SECONDS, recheck_deferred, register_overdue
from jobqueue.maintenance.expiry import EXPIRE_LIMIT, expire_results, prune
from jobqueue.maintenance.labels import FORGET_LABELS_SECONDS, forget_labels
from jobqueue.maintenance.reaped_jobs import report_reaped, report_reaped_rq_jobs
from jobqueue.maintenance.rq_commands import pass_on_rq_commands
from jobqueue.maintenance.rq_wakeups import MAX_CALL_QUEUES, wake_for_rq_jobs, wake_workers
from jobqueue.maintenance.sweep import SWEEP_SECONDS, sweep
from jobqueue.model import ALL_QUEUES, LEASE_SECONDS, serves
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import name_of
from jobqueue.timestamps import clock_argument, iso
from jobqueue.workers.manager_heartbeat import MANAGER_HEARTBEAT_SECONDS, send_manager_heartbeat
from jobqueue.workers.registry import list_for_new_queues

DUE_LIMIT = 1000
SCHEDULER_LOCK_SECONDS = 5
TICK_SECONDS = 0.5
TRIM_AUDIT_SECONDS = 3600.0
SWEEP_LIMITS_SECONDS = 2.0

log = logging.getLogger(__name__)


async def enqueue_due(shard: Shard, queue: str, owner: str, *, now: float | None = None) -> int:
    """Enqueue up to `DUE_LIMIT` scheduled jobs that are due, unless someone else holds RQ's scheduler lock.

    Returns:
        Number of jobs removed from the schedule; -1 if someone else holds the lock.

    Raises:
        ShardUnavailable: try again.
    """
    arguments = (clock_argument(now), iso(now), owner, SCHEDULER_LOCK_SECONDS, queue, DUE_LIMIT)
    return int(await shard.run(script("enqueue_due"), *arguments))


async def find_due(shard: Shard, queues: Sequence[str], *, now: float | None = None) -> list[str]:
    """Return those of these queues that have scheduled jobs which are due.

    Raises:
        ShardUnavailable: try again.
    """
    due: list[str] = []
    for first in range(0, len(queues), MAX_CALL_QUEUES):
        arguments = (clock_argument(now), *queues[first : first + MAX_CALL_QUEUES])
        due += map(name_of, await shard.run(script("find_due"), *arguments))
    return due


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    every_seconds: float
    run: Callable[[Shard], Awaitable[None]]


class Maintenance:
    """Runs the periodic tasks on every shard, independently: an unavailable shard delays no other.

    Args:
        lease_seconds: how long workers' leases last.
        managed_queues: those that the scaler's workers serve.
        on_jobs_waiting: called repeatedly while jobs wait in one of these queues that is not paused.
    """

    def __init__(
        self,
        shards: Shards,
        *,
        lease_seconds: float = LEASE_SECONDS,
        managed_queues: Sequence[str] = ALL_QUEUES,
        on_jobs_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self._shards = shards
        self._lease_seconds = lease_seconds
        self._managed_queues = managed_queues
        self._known_queues: dict[int, set[str]] = defaultdict(set)
        self._on_jobs_waiting = on_jobs_waiting
        self._owner = f"workmanager-{secrets.token_hex(8)}"
        self._prune_turns = Counter[int]()
        self._expire_turns = Counter[int]()
        self._rescue_cursors: dict[int, int] = {}
        self._limit_cursors: dict[int, str] = {}
        self._deferred_cursors: dict[tuple[int, str], int] = {}
        self._tasks = (
            _Task("enqueue_due", TICK_SECONDS, self._enqueue_due),
            _Task("wake_workers", TICK_SECONDS, self._wake_workers),
            _Task("reap", 1.0, self._reap),
            _Task("rescue", 1.0, self._rescue),
            _Task("settle", TICK_SECONDS, self._settle),
            _Task("register_overdue", TICK_SECONDS, self._register_overdue),
            _Task("recheck_deferred", RECHECK_SECONDS, self._recheck_deferred),
            _Task("sweep_limits", SWEEP_LIMITS_SECONDS, self._sweep_limits),
            _Task("enqueue_dependents", 1.0, self._enqueue_dependents),
            _Task("prune", 1.0, self._prune),
            _Task("expire_results", 1.0, self._expire_results),
            _Task("forget_labels", FORGET_LABELS_SECONDS, _forget_labels),
            _Task("reap_rq_executions", 10.0, self._reap_rq_executions),
            _Task("trim_audit", TRIM_AUDIT_SECONDS, _trim_audit),
            _Task("sweep", SWEEP_SECONDS, self._sweep),
            _Task("send_heartbeat", MANAGER_HEARTBEAT_SECONDS, send_manager_heartbeat),
        )

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(self._maintain(shard))
                group.create_task(wake_for_rq_jobs(shard, self._on_queues_waiting))
                group.create_task(pass_on_rq_commands(shard))

    async def _maintain(self, shard: Shard) -> None:
        next_run_at = {task.name: 0.0 for task in self._tasks}
        outage, unreachable = Outage(), set[str]()
        problems = {task.name: Outage() for task in self._tasks}
        while True:
            for task in self._tasks:
                if time.monotonic() < next_run_at[task.name]:
                    continue
                next_run_at[task.name] = time.monotonic() + task.every_seconds
                try:
                    await task.run(shard)
                except (JobQueueError, RedisError, OSError) as error:
                    # Logged once, when the failures begin: for all tasks if the shard is unavailable, else for this
                    # one. The next tick tries again.
                    is_outage = isinstance(error, (ShardUnavailable, OSError)) and not isinstance(error, NotPermitted)
                    if is_outage:
                        unreachable.add(task.name)
                    if outage.begin() if is_outage else problems[task.name].begin():
                        log.warning(
                            "event=maintenance_failed shard=%s task=%s error=%s", shard.prefix, task.name, error
                        )
                except Exception as error:  # The loop's edge: one task must not end the maintenance of all shards.
                    if problems[task.name].begin(repr(error)):
                        log.exception("event=maintenance_crashed shard=%s task=%s", shard.prefix, task.name)
                else:
                    unreachable.discard(task.name)
                    for name in unreachable:
                        next_run_at[name] = 0.0  # the shard is back: they need not wait for their turn
                    _report_recovery(shard, task.name, problems[task.name].end())
                    if not unreachable:
                        _report_recovery(shard, "all", outage.end())
            await asyncio.sleep(TICK_SECONDS)

    async def _enqueue_due(self, shard: Shard) -> None:
        for queue in await find_due(shard, await queue_names(shard)):
            while (jobs := await enqueue_due(shard, queue, self._owner)) > 0:
                log.info("event=jobs_due shard=%s queue=%s jobs=%d", shard.prefix, queue, jobs)
                if jobs < DUE_LIMIT:
                    break

    async def _wake_workers(self, shard: Shard) -> None:
        names = await queue_names(shard)
        self._on_queues_waiting(await wake_workers(shard, names))
        known = self._known_queues[shard.index]
        await list_for_new_queues(shard, [name for name in names if name not in known])
        known.update(names)

    def _on_queues_waiting(self, queues: Sequence[str]) -> None:
        if any(serves(self._managed_queues, queue) for queue in queues):
            self._on_jobs_waiting()

    async def _reap(self, shard: Shard) -> None:
        while True:
            reaped = await reap(shard, lease_seconds=self._lease_seconds)
            await report_reaped(shard, reaped, "lease_expired")
            if len(reaped) < REAP_LIMIT:
                return

    async def _rescue(self, shard: Shard) -> None:
        cursor, rescued = await rescue(shard, self._rescue_cursors.get(shard.index, 0))
        self._rescue_cursors[shard.index] = cursor
        await report_reaped(shard, rescued, "not_held")

    async def _settle(self, shard: Shard) -> None:
        await settle(shard, self._shards)

    async def _register_overdue(self, shard: Shard) -> None:
        await register_overdue(self._shards, shard)

    async def _recheck_deferred(self, shard: Shard) -> None:
        for queue in await _queues_with(shard, lambda name: (keys.registry(shard.prefix, "deferred", name),)):
            place = (shard.index, queue)
            self._deferred_cursors[place] = await recheck_deferred(
                self._shards, shard, queue, self._deferred_cursors.get(place, 0)
            )

    async def _sweep_limits(self, shard: Shard) -> None:
        cursor, given_back = await sweep_limits(shard, self._limit_cursors.get(shard.index, "0"))
        self._limit_cursors[shard.index] = cursor
        if given_back:
            log.info("event=limit_places_swept shard=%s places=%d", shard.prefix, given_back)

    async def _enqueue_dependents(self, shard: Shard) -> None:
        jobs = await enqueue_dependents(shard)
        if jobs:
            log.info("event=dependents_enqueued shard=%s jobs=%d", shard.prefix, jobs)

    async def _prune(self, shard: Shard) -> None:
        self._prune_turns[shard.index] += 1
        restored, deleted = await prune(shard, turn=self._prune_turns[shard.index])
        if restored or deleted:
            log.info("event=feed_pruned shard=%s restored=%d deleted=%d", shard.prefix, restored, deleted)

    async def _expire_results(self, shard: Shard) -> None:
        self._expire_turns[shard.index] += 1
        while True:
            expired, unpulled = await expire_results(shard, turn=self._expire_turns[shard.index])
            if unpulled:
                log.info("event=results_expired shard=%s unpulled=%d", shard.prefix, unpulled)
            if expired < EXPIRE_LIMIT:
                return

    async def _sweep(self, shard: Shard) -> None:
        for queue in await queue_names(shard):
            removed = await sweep(shard, queue)
            if removed:
                log.info("event=entries_swept shard=%s queue=%s entries=%d", shard.prefix, queue, removed)

    async def _reap_rq_executions(self, shard: Shard) -> None:
        def left_behind(name: str) -> tuple[str, str]:
            return keys.registry(shard.prefix, "wip", name), keys.intermediate(shard.prefix, name)

        for queue in await _queues_with(shard, left_behind):
            await report_reaped_rq_jobs(shard, await reap_rq_executions(shard, queue))


async def _queues_with(shard: Shard, keys_of: Callable[[str], Sequence[str]]) -> list[str]:
    """Return the queues that have any of these keys: in one round trip, because most queues have none."""
    names = await queue_names(shard)
    found = await shard.execute(*(("EXISTS", *keys_of(name)) for name in names)) if names else ()
    return [name for name, count in zip(names, found, strict=True) if count]


async def _forget_labels(shard: Shard) -> None:
    await forget_labels(shard)


async def _trim_audit(shard: Shard) -> None:
    await trim_audit(shard)


def _report_recovery(shard: Shard, task: str, seconds: float | None) -> None:
    if seconds is not None:
        log.info("event=maintenance_recovered shard=%s task=%s after_seconds=%.1f", shard.prefix, task, seconds)
