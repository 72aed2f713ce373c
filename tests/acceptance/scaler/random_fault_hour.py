"""An hour on a fake clock: two managers with the real loop, an upgrade, workers, jobs, and random faults of every kind.

One step of the clock at a time, everything that is due happens:

    RandomFaultHour ── arrivals ──> queue (real Valkey) <── claim, finish, heartbeat ── FakeWorker, one per Machine
      │    │                            ▲
      │    └─ faults, upgrades          │ FaultyShard: stalls, unavailable, lost answers
      ▼                                 │
    2 managers, each a ScalerLoop ──────┘
           │
           └─ FakeCloudFleet: paused, killed, throttled, lost answers ──> FakeCloud: Machines, capacity, violations

Redis' clock is that of one of the managers' hosts (HostClocks), and steps. Time passes by a clock that does not.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from jobqueue import keys
from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.leases import reap
from jobqueue.model import LEASE_SECONDS, MAX_LOSSES
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from scaler.policy import Limits
from tests.acceptance.scaler.fake_cloud import POOLS, PROFILE, FakeCloud, FakeCloudFleet, Killed
from tests.acceptance.scaler.fake_workers import RELEASE_MARGIN_SECONDS, FakeWorker
from tests.acceptance.scaler.fault_rates import (
    DEAD_JOB_SECONDS,
    RATES,
    RATES_AFTER_THE_HOUR,
    ROLE_IS_NARROW,
    ROLE_LEAD_SECONDS,
    ROLE_NOT_KNOWN,
    ROLE_SPREAD_SECONDS,
)
from tests.acceptance.scaler.faulty_shard import FaultyShard
from tests.acceptance.scaler.host_clocks import HostClocks
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs

_RUNNING: ContextVar[int] = ContextVar("running")
"""Number of the manager whose round runs, by task: while a round waits in several calls at once, others run in each."""
STEP_SECONDS, QUIET_STEP_SECONDS = 1.0, 4.0
"""A step of the clock while there are instances, and while there are none. Shorter than the leader lease."""
HOUR_SECONDS = 3600.0
NOTICE_SECONDS = 120.0
"""From the notice of a spot interruption to the end of the instance."""
WIND_DOWN_SECONDS = 3600.0
"""How long after the hour all jobs may take to finish and all instances to end."""
MAX_WORKERS = 8
REAP_SECONDS = 5.0
LAUNCH_SECONDS = 120.0
"""Within this time, an instance is launched for jobs that wait, if EC2 can launch one."""
MAX_DISTURBED_SECONDS = 600.0
"""Whatever faults of single moments come meanwhile, an instance is launched within this time, which is little more than
the two others together. The time is added in which the role, or no credentials, keep a manager from launching: it can
be the one that leads."""
MAX_PUT_OFF_SECONDS = 420.0
"""For how long the scaler can be unable to know that there is none: a launch is without an answer, or an ended instance
is not described as ended."""


Failure = tuple[int, str, str]
"""Manager, capacity pool ('' if the failure does not concern a pool) and error code of a failed launch."""


@dataclass(slots=True)
class FakeManager:
    """A manager process. When it is killed, another one takes its place."""

    number: int
    loop: ScalerLoop
    fleet: FakeCloudFleet
    upgraded: bool = False
    ticks_at: float = 0.0
    is_ticking: bool = False


@dataclass(slots=True)
class RandomFaultHour:
    """One hour with random faults; the same seed gives the same hour. Call `run` once.

    Args:
        clock: the time that passes.
        redis_clock: the clock of the shards, which this sets.

    Attributes:
        workers: by the id of their instance.
        seconds_of: run time of each job by id.
        worker_deaths: number of workers that died while they ran a job, by job id.
    """

    shards: Shards
    clock: FakeClock
    redis_clock: FakeClock
    seed: int
    host_clocks: HostClocks = field(init=False)
    rng: random.Random = field(init=False)
    cloud: FakeCloud = field(init=False)
    managers: list[FakeManager] = field(init=False)
    workers: dict[str, FakeWorker] = field(default_factory=dict)
    seconds_of: dict[str, float] = field(default_factory=dict)
    worker_deaths: Counter[str] = field(default_factory=Counter)
    _failures: list[Failure] = field(default_factory=list)
    _told: set[tuple[int, int, str, str]] = field(default_factory=set)
    _launched: Counter[str] = field(default_factory=Counter)
    _queued: int = 0
    _reaped_at: float = 0.0
    _starving_since: float | None = None
    _undisturbed_since: float = 0.0
    _checked_at: float = 0.0
    _kept_seconds: float = 0.0
    most_disturbed_seconds: float = 0.0
    _put_off_at: float = 0.0
    _died_at: float = 0.0
    _role_changes_at: float = float("inf")

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.cloud = FakeCloud(
            self.clock, random.Random(self.seed + 1_000_000), max_instances=MAX_WORKERS, rates=dict(RATES)
        )
        self.cloud.registered_at = lambda id_: self.workers[id_].registered_at if id_ in self.workers else None
        self.host_clocks = HostClocks(self.clock, self.redis_clock)
        self.managers = [FakeManager(number, *self._new_loop(number, 1)) for number in range(2)]

    @property
    def shard(self) -> Shard:
        return self.shards.all[0]

    async def run(self) -> None:
        """Run the hour, and then until all jobs are finished and all instances have ended."""
        start = self.clock.now
        arrivals = self._arrivals(start)
        upgrades = self._upgrades(start, arrivals)
        self._role_changes_at = upgrades[0] - ROLE_LEAD_SECONDS
        while self.clock.now < start + HOUR_SECONDS:
            for manager in self.managers:
                if not manager.upgraded and not manager.is_ticking and self.clock.now >= upgrades[manager.number]:
                    manager.upgraded = True
                    self._restart(manager)
            while arrivals and arrivals[0] <= self.clock.now:
                arrivals.pop(0)
                await self._submit()
            await self._step()
        # No new faults: the scaler must recover by itself.
        self.cloud.end_faults(dict(RATES_AFTER_THE_HOUR))
        self.host_clocks.set_right()
        while not await self._is_over() and self.clock.now < start + HOUR_SECONDS + WIND_DOWN_SECONDS:
            await self._step()

    async def unfinished_jobs(self) -> int:
        """Count the jobs that are not finished. A job whose workers died `MAX_LOSSES` times may fail."""
        prefix = self.shard.prefix
        finished, lost = await self.shard.execute(
            ("HGET", keys.counter(prefix, "finished"), "noop"), ("HGET", keys.counter(prefix, "failed"), "lost")
        )
        may_fail = sum(deaths >= MAX_LOSSES for deaths in self.worker_deaths.values())
        return len(self.seconds_of) - int(finished or 0) - min(int(lost or 0), may_fail)

    async def update_decisions(self) -> int:
        """Count the latest decisions that replaced workers of the earlier version."""
        (decisions,) = await self.shard.execute(("LRANGE", keys.scaler(self.shard.prefix, "decisions"), 0, -1))
        return sum(b'"UPDATE' in decision for decision in decisions)

    async def _is_over(self) -> bool:
        (intents, instances) = await self.shard.execute(
            ("HLEN", keys.scaler(self.shard.prefix, "intents")), ("HLEN", keys.scaler(self.shard.prefix, "instances"))
        )
        return not self.cloud.living and not intents and not instances and not await self.unfinished_jobs()

    def _arrivals(self, start: float) -> list[float]:
        rng, seconds = self.rng, []
        for _ in range(rng.randint(3, 6)):
            burst_at = start + rng.uniform(0.0, HOUR_SECONDS * 0.8)
            seconds += [burst_at + rng.expovariate(1 / 20.0) for _ in range(rng.randint(1, 25))]
        return sorted(seconds)

    def _upgrades(self, start: float, arrivals: Sequence[float]) -> list[float]:
        """Draw when each manager is upgraded: one after the other, while there are jobs."""
        first = self.rng.choice(arrivals or [start]) + self.rng.uniform(60.0, 300.0)
        return [first, first + self.rng.uniform(60.0, 300.0)]

    async def _submit(self) -> None:
        job_id = f"job-{len(self.seconds_of)}"
        self.seconds_of[job_id] = min(900.0, self.rng.lognormvariate(3.5, 1.0))
        await enqueue_jobs(self.shard, job_id, now=self.redis_clock.now)

    async def _step(self, *, paused: FakeManager | None = None) -> None:
        """Advance the clock, and do all that is due. A paused manager waits in one of its own calls."""
        self.clock.advance(STEP_SECONDS if self.cloud.living else QUIET_STEP_SECONDS)
        self._step_redis_clock()
        self._inject_account_faults()
        self._inject_faults()
        await self._step_workers()
        for manager in self.managers:
            if manager is not paused and not manager.is_ticking and self.clock.now >= manager.ticks_at:
                await self._run_round(manager)
        await self._check_launches()

    async def _check_launches(self) -> None:
        """Check that jobs which wait while nothing runs get an instance in time."""
        cloud, now = self.cloud, self.clock.now
        if not self._queued or cloud.living or cloud.blocks_launches():
            self._starving_since = None
            return
        if self._starving_since is None:
            self._starving_since = self._undisturbed_since = self._checked_at = now
            self._kept_seconds = 0.0
        if any(self._is_kept_from_launching(each) for each in self.managers):
            self._kept_seconds += now - self._checked_at
        self._checked_at = now
        self._undisturbed_since = max(self._undisturbed_since, cloud.disrupted_at)
        starved_seconds, disturbed_seconds = now - self._undisturbed_since, now - self._starving_since
        self.most_disturbed_seconds = max(self.most_disturbed_seconds, disturbed_seconds)
        prefix = self.shard.prefix
        intents, instances = await self.shard.execute(
            ("HLEN", keys.scaler(prefix, "intents")), ("HLEN", keys.scaler(prefix, "instances"))
        )
        if intents or instances:
            self._put_off_at = now
        put_off_seconds = now - max(self._put_off_at, self._undisturbed_since)
        if (
            put_off_seconds > LAUNCH_SECONDS
            or starved_seconds > MAX_PUT_OFF_SECONDS + LAUNCH_SECONDS
            or disturbed_seconds > MAX_DISTURBED_SECONDS + self._kept_seconds
        ):
            cloud.violations.append(
                f"nothing was launched for {disturbed_seconds:.0f} s until {now:.0f}, undisturbed for "
                f"{starved_seconds:.0f} s: {intents} launches without an answer, {instances} instances recorded"
            )
            self._starving_since = self._undisturbed_since = now

    async def _run_round(self, manager: FakeManager) -> None:
        manager.ticks_at = self.clock.now + self.rng.choice((1.0, 2.0, 3.0))
        if self.cloud.happens("killed"):
            self._restart(manager)
            return
        if self.cloud.happens("hung"):
            manager.ticks_at += self.rng.uniform(5.0, 40.0)
            return
        manager.is_ticking, token = True, _RUNNING.set(manager.number)
        try:
            await manager.loop.run_round()
        except Killed:
            self._restart(manager)
        except ShardUnavailable:
            pass
        finally:
            manager.is_ticking = False
            _RUNNING.reset(token)
        await self._check_told(manager.number)

    def note_failure(self, pool: str, code: str) -> None:
        """Note that the manager whose round runs has told of a failed launch."""
        self._failures.append((_RUNNING.get(), pool, code))

    async def _check_told(self, manager: int) -> None:
        """Check that a leader tells each cause of a failed launch once, until a launch succeeds."""
        launched, self._launched = self.cloud.launched - self._launched, self.cloud.launched.copy()
        succeeded = {*launched, ""} if launched else set()
        self._told = {each for each in self._told if each[2] not in succeeded}
        failures = [failure for failure in self._failures if failure[0] == manager]
        self._failures = [failure for failure in self._failures if failure[0] != manager]
        if not failures:
            return
        (epoch,) = await self.shard.execute(("HGET", keys.scaler(self.shard.prefix, "leader"), "epoch"))
        for _, pool, code in failures:
            told = (manager, int(epoch), pool, code)
            if told in self._told:
                self.cloud.violations.append(f"{code} of {pool} was told again at {self.clock.now:.0f}")
            if pool not in succeeded:
                self._told.add(told)

    def _restart(self, manager: FakeManager) -> None:
        silent_until = manager.fleet.silent_until
        manager.loop, manager.fleet = self._new_loop(manager.number, 2 if manager.upgraded else 1)
        manager.fleet.silent_until = silent_until
        manager.ticks_at = self.clock.now + self.rng.uniform(3.0, 30.0)

    def _new_loop(self, number: int, version: int) -> tuple[ScalerLoop, FakeCloudFleet]:
        async def pause(seconds: float) -> None:
            until = self.clock.now + seconds
            while self.clock.now < until:
                await self._step(paused=self.managers[number])

        reliable = self.shards
        faulty = Shards.__new__(Shards)
        faulty.topology = reliable.topology
        faulty.all = tuple(FaultyShard(shard, reliable, self.redis_clock, self.cloud, pause) for shard in reliable)
        fleet = FakeCloudFleet(self.cloud, self.clock, pause, version)
        loop = ScalerLoop(
            faulty,
            fleet,
            Limits(min_workers=0, max_workers=MAX_WORKERS, min_billed_seconds=60.0, min_idle_seconds=0.0),
            f"host:{number}",
            ScalerMetrics(CollectorRegistry(), min_billed_seconds=PROFILE.min_billed_seconds),
            clock=self.clock,
            rng=self.rng,
        )
        return loop, fleet

    def _step_redis_clock(self) -> None:
        """Let time pass on Redis' clock, and let it step: set wrong, set right, or another host's after a failover."""
        if self.clock.now - self._died_at > DEAD_JOB_SECONDS:
            if self.host_clocks.are_right and self.cloud.happens("clock_wrong"):
                self.host_clocks.set_wrong(self.rng)
            if self.cloud.happens("failover"):
                self.host_clocks.fail_over()
        before = self.clock.now
        if self.host_clocks.follow() > QUIET_STEP_SECONDS:
            # Leases expire at once, and their jobs can be taken back before their workers renew them.
            self.worker_deaths.update(worker.job.id for worker in self.workers.values() if worker.job is not None)
            self.cloud.disrupted_at = before

    def _inject_account_faults(self) -> None:
        """Inject the faults of quotas, of the managers' role and of their metadata services."""
        cloud, now = self.cloud, self.clock.now
        if cloud.happens("quota_changes"):
            cloud.quotas.change(self.rng)
        if now >= self._role_changes_at + ROLE_SPREAD_SECONDS:
            cloud.rates.pop("role_not_known", None)
        elif now >= self._role_changes_at and "role_not_known" not in cloud.rates:
            cloud.rates["role_not_known"] = ROLE_NOT_KNOWN
            cloud.refusals.least_version = 2 if self.rng.random() < ROLE_IS_NARROW else 0
        for manager in self.managers:
            if cloud.happens("metadata_silent"):
                manager.fleet.silent_until = now + self.rng.uniform(5.0, 150.0)
            if self._is_kept_from_launching(manager):
                cloud.disrupted_at = now

    def _is_kept_from_launching(self, manager: FakeManager) -> bool:
        is_forbidden = not manager.upgraded and self.cloud.refusals.least_version > 1
        return is_forbidden or self.clock.now < manager.fleet.silent_until

    def _inject_faults(self) -> None:
        """Boot workers, and inject the faults of instances and of capacity pools."""
        if self.cloud.happens("pool_refused"):
            self.cloud.refusals.refuse_pool(self.rng.choice(POOLS), self.rng, self.clock.now)
        if self.cloud.happens("account_refused"):
            self.cloud.refusals.refuse_account(self.rng, self.clock.now)
        for machine in self.cloud.living:
            worker = self.workers.get(machine.id)
            if worker is None:
                if machine.boots_at is not None and self.clock.now >= machine.boots_at:
                    worker = FakeWorker(machine, self.shard, self.clock)
                    self.workers[machine.id] = worker
                    machine.is_busy = _busy(worker)
                continue
            if worker.exited and not worker.dead:
                machine.ended = True  # An instance powers off when its worker exits.
            elif not worker.interruption and machine.pool.endswith("spot") and self.cloud.happens("spot"):
                worker.interruption, machine.reclaimed_at = "spot", self.clock.now + NOTICE_SECONDS
                worker.heartbeat_at = float("-inf")
            elif not worker.interruption and self.cloud.happens("rebalance"):
                worker.interruption, worker.heartbeat_at = "rebalance", float("-inf")
            elif not worker.dead and self.host_clocks.are_right and self.cloud.happens("dies"):
                worker.dead, self._died_at = True, self.clock.now
                if worker.job is not None:
                    self.worker_deaths[worker.job.id] += 1

    async def _step_workers(self) -> None:
        for worker in self.workers.values():
            await self._reclaim(worker)
        awake = [worker for worker in self.workers.values() if worker.is_awake]
        prefix = self.shard.prefix
        self._queued, *messages = await self.shard.execute(
            ("LLEN", keys.queue(prefix, "default")),
            *(("LPOP", keys.commands(prefix, each.machine.id)) for each in awake),
        )
        for worker, message in zip(awake, messages, strict=True):
            await worker.step(self.seconds_of, drain_requested=message is not None, jobs_wait=self._queued > 0)
        if self.clock.now - self._reaped_at >= REAP_SECONDS:
            self._reaped_at = self.clock.now
            await reap(self.shard, lease_seconds=LEASE_SECONDS)

    async def _reclaim(self, worker: FakeWorker) -> None:
        """End an interrupted spot instance after its notice; its worker releases the job shortly before."""
        reclaimed_at = worker.machine.reclaimed_at
        if reclaimed_at is None or worker.machine.ended:
            return
        if self.clock.now >= reclaimed_at - RELEASE_MARGIN_SECONDS and worker.is_awake:
            await worker.release_job()
        if self.clock.now >= reclaimed_at:
            worker.machine.ended = worker.machine.interrupted = True


def _busy(worker: FakeWorker) -> Callable[[], bool]:
    return lambda: worker.job is not None and not worker.dead
