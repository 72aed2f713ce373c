"""Read what explains why a job does not run: in few round trips, however long its queue is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from jobqueue import keys
from jobqueue.errors import JobQueueError
from jobqueue.functions import FunctionRegistry
from jobqueue.job_view import JobView
from jobqueue.json_text import json_object
from jobqueue.lifecycle.limits import limit_keys, read_limit
from jobqueue.model import FINISHED, Status, serves
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, number_of, pairs, text_of
from jobqueue.workers.registry import WorkerView
from manager.explain.facts import FullLimit, JobFacts, LaneFacts, Parent, QueueFacts, RateLimitFacts, ScalerFacts
from manager.queue.job_wait import StatusReader
from manager.queue.service import QueueService
from scaler.observe.instance_phases import InstancePhase, is_alive
from scaler.policy import Limits
from scaler.view import ScalerView, view_scaler

LOOKED_AT = 10_000
"""How far into its queue a job is looked for: Redis serves nobody else meanwhile."""
_DRAINING = "draining"
_FIELDS = (
    *("wm_lease", "wm_cancel", "rate_limit_key", "rate_limit_concurrency"),
    *("wm_in_lane", "wm_lane", "wm_limits", "repeats_left", "wm_losses"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """What was read a few seconds ago at most: of a large system, reading it takes tens of milliseconds.

    Attributes:
        scaler: None if it could not be read.
    """

    workers: Sequence[WorkerView]
    scaler: ScalerView | None


class FactReader:
    """Reads the facts about jobs.

    Args:
        service: the queue.
        functions: tells which modules managers cannot use.
        limits: of the scaler, unless an operator has set others.
        sees: tells of a queue whether the caller sees its jobs.
        shows_scaler: whether the caller may know what the scaler does.
        known: what need not be read; None if all is to be read.
    """

    def __init__(
        self,
        service: QueueService,
        functions: FunctionRegistry,
        limits: Limits,
        *,
        sees: Callable[[str], bool],
        shows_scaler: bool,
        known: Known | None = None,
    ) -> None:
        self._service = service
        self._functions = functions
        self._limits = limits
        self._sees = sees
        self._shows_scaler = shows_scaler
        self._known = known

    async def read(self, shard: Shard, job: JobView) -> JobFacts:
        """Return what is known of a job.

        Raises:
            ShardUnavailable: its shard is unavailable.
        """
        prefix = shard.prefix
        fields, (seconds, microseconds) = await shard.execute(
            ("HMGET", keys.job(prefix, job.id), *_FIELDS), ("TIME",), tolerate_wrong_types=True
        )
        lease, canceled, limit_key, places, in_lane, lane, limits, repeats, losses = fields or (None,) * len(_FIELDS)
        facts = JobFacts(
            job=job,
            now=int(seconds) + int(microseconds) / 1e6,
            enqueued_at=_unix(job.enqueued_at),
            due_at=_unix(job.due_at),
            started_at=_unix(job.started_at),
            losses=integer_of(losses),
            is_canceled=canceled == b"1",
            repeats_left=None if repeats is None else integer_of(repeats),
        )
        match job.status:
            case Status.QUEUED:
                return replace(facts, queue=await self._read_queue(shard, job, keys.queue(prefix, job.queue)))
            case Status.DEFERRED if in_lane == b"1" and lane:
                name = text_of(lane)
                waits = await self._read_lane(shard, job.queue, name, limits, facts.now)
                queue = await self._read_queue(shard, job, keys.lane(prefix, job.queue, name))
                return replace(facts, queue=replace(queue, lane=waits))
            case Status.DEFERRED:
                return replace(facts, parents=await self._read_parents(shard, job))
            case Status.STARTED if lease:
                command = ("ZSCORE", keys.leases(prefix), f"{job.id}:{text_of(lease)}")
                (until,) = await shard.execute(command, tolerate_wrong_types=True)
                return replace(facts, lease_seconds=(number_of(until) or 0.0) - facts.now)
            case Status.RATE_LIMITED if limit_key:
                return replace(facts, rate_limit=await _read_rate_limit(shard, text_of(limit_key), places))
        return facts

    async def _read_queue(self, shard: Shard, job: JobView, list_key: str) -> QueueFacts:
        prefix, name = shard.prefix, job.queue
        queued, ahead, paused_at, suspended = await shard.execute(
            ("LLEN", list_key),
            ("LPOS", list_key, job.id, "MAXLEN", LOOKED_AT),
            ("HGET", keys.paused(prefix), name),
            ("EXISTS", keys.suspended(prefix)),
            tolerate_wrong_types=True,
        )
        monitor, overview = self._service.monitor, self._service.overview
        registered = await overview.workers() if self._known is None else self._known.workers
        path = self._functions.path_of(job.function or "") or job.function or ""
        return QueueFacts(
            name=name,
            ahead=ahead,
            looked_at=LOOKED_AT,
            queued=queued or 0,
            paused_at=None if paused_at is None else text_of(paused_at),
            is_suspended=bool(suspended),
            unserved=(await monitor.unserved([name])).get(name),
            workers=[worker for worker in registered if _takes_jobs_of(worker, name)],
            silent_workers=[worker for worker in registered if serves(worker.queues, name) and not is_alive(worker)],
            module_problem=self._functions.why_unreadable(path),
            scaler=await self._read_scaler(registered) if self._shows_scaler else None,
        )

    async def _read_scaler(self, workers: Sequence[WorkerView]) -> ScalerFacts | None:
        shards = self._service.shards
        try:
            view = await view_scaler(shards, workers) if self._known is None else self._known.scaler
            return None if view is None else await _scaler_facts(shards.all[0], view, self._limits)
        except JobQueueError:
            return None

    async def _read_lane(self, shard: Shard, queue: str, lane: str, limits: bytes | None, now: float) -> LaneFacts:
        command = ("ZSCORE", keys.later(shard.prefix, queue), lane)
        (until,) = await shard.execute(command, tolerate_wrong_types=True)
        full = []
        for key in limit_keys(limits):
            view = await read_limit(shard, key)
            if view is None or view.limit.concurrency is None or (view.running or 0) < view.limit.concurrency:
                continue
            statuses = await StatusReader(self._service.shards, self._sees).read(view.holders)
            holders = [job_id for job_id, status in statuses.items() if status is not None]
            full.append(FullLimit(key, view.limit.concurrency, view.running or 0, holders))
        allowed_at = number_of(until)
        return LaneFacts(full, None if allowed_at is None else allowed_at - now)

    async def _read_parents(self, shard: Shard, job: JobView) -> Sequence[Parent]:
        (flat,) = await shard.execute(("HGETALL", keys.open_parents(shard.prefix, job.id)), tolerate_wrong_types=True)
        awaited = {parent_id: text_of(goal) for parent_id, goal in pairs(flat)}
        # A plain RQ client's job has no such record: it waits for all that it depends on.
        parent_ids = list(awaited or dict.fromkeys(job.depends_on))
        statuses = await StatusReader(self._service.shards, self._sees).read(parent_ids)
        parents = [Parent(each, awaited.get(each, FINISHED), statuses[each]) for each in parent_ids]
        return [each for each in parents if awaited or each.status != Status.FINISHED]


def _takes_jobs_of(worker: WorkerView, queue: str) -> bool:
    return serves(worker.queues, queue) and is_alive(worker) and worker.state != _DRAINING


async def _read_rate_limit(shard: Shard, key: str, places: bytes | None) -> RateLimitFacts:
    prefix = shard.prefix
    held, waiting = await shard.execute(
        ("ZCARD", keys.rate_limit_places(prefix, key)),
        ("ZCARD", keys.rate_limit_waiting(prefix, key)),
        tolerate_wrong_types=True,
    )
    return RateLimitFacts(key, integer_of(places) or None, held or 0, waiting or 0)


async def _scaler_facts(shard: Shard, view: ScalerView, limits: Limits) -> ScalerFacts:
    (learned,) = await shard.execute(("GET", keys.scaler(shard.prefix, "learned")), tolerate_wrong_types=True)
    state, breaker = view.state, view.state.launch_breaker
    boot_seconds = (json_object(learned) or {}).get("boot_seconds")
    expected = float(boot_seconds) if isinstance(boot_seconds, int | float) else 0.0
    applied = state.overrides.applied_to(limits)
    until = breaker.held_back_until(state.now)
    return ScalerFacts(
        leader=None if view.leadership is None else view.leadership.address,
        is_paused=state.overrides.paused,
        reason=view.reason,
        instances=len(view.instances),
        boot_etas=sorted(
            max(0.0, expected - (state.now - each.instance.launched_at))
            for each in view.instances
            if each.phase is InstancePhase.BOOTING
        ),
        pending_launches=state.pending_launches,
        max_workers=applied.max_workers,
        budget_per_hour=applied.hourly_budget,
        allowed_workers=applied.max_workers_allowed(),
        held_back=breaker.last_failure if view.is_held_back else "",
        held_back_seconds=max(0.0, until - state.now) if view.is_held_back else 0.0,
        probes=breaker.is_open,
    )


def _unix(text: str | None) -> float | None:
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
