"""A fleet whose workers take a while to claim: so jobs are queued while workers are idle, as in a real system.

It asks the policy at each tick, as the scaler's loop does, and checks every drain.
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from scaler.learn.learning import Estimators, QueueSnapshot
from scaler.policy import Decision, Limits, Observation, decide

CLAIM_PROBABILITY = 0.4
"""Of an idle worker, at each tick."""
SCALE_IN_BOOTS = 40.0
"""After the last job, the fleet must be gone within this many boots or, if that is longer, minimum ages."""


@dataclass(frozen=True, slots=True)
class TimeScale:
    """How long things take where the fleet runs."""

    boot_seconds: float
    min_idle_seconds: float
    min_billed_seconds: float
    tick_seconds: float = 1.0


@dataclass(slots=True)
class _Worker:
    launched_at: float
    registers_at: float
    busy_until: float | None = None

    def is_idle(self, now: float) -> bool:
        return now >= self.registers_at and self.busy_until is None


@dataclass(slots=True)
class LaggingFleet:
    """Runs one trace. Call `run` once.

    Attributes:
        arrivals: (second, service seconds) of each job, in ascending order.
        max_workers: by the second from which it holds.
        violations: drains that must not have been.
    """

    scale: TimeScale
    arrivals: Sequence[tuple[float, float]]
    rng: random.Random
    max_workers: int = 20
    violations: list[str] = field(default_factory=list)
    launches: int = 0
    drains: int = 0
    _now: float = 0.0
    _queue: deque[tuple[float, float]] = field(default_factory=deque)
    _workers: list[_Worker] = field(default_factory=list)
    _ended: int = 0
    _ended_seconds: float = 0.0

    def run(self) -> None:
        """Run until all jobs have ended and all workers are gone."""
        limits = Limits(
            min_workers=0,
            max_workers=self.max_workers,
            min_billed_seconds=self.scale.min_billed_seconds,
            min_idle_seconds=self.scale.min_idle_seconds,
        )
        estimators = Estimators(limits, boot_seconds=self.scale.boot_seconds)
        waiting = deque(self.arrivals)
        patience = SCALE_IN_BOOTS * max(self.scale.boot_seconds, self.scale.min_idle_seconds)
        active_at, ended_before = 0.0, 0
        while waiting or self._queue or self._workers:
            while waiting and waiting[0][0] <= self._now:
                self._queue.append(waiting.popleft())
            self._step_workers(estimators)
            if self._queue or any(worker.busy_until is not None for worker in self._workers) or waiting:
                active_at = self._now
            if self._now - active_at > patience:
                self.violations.append(f"{len(self._workers)} workers are left {patience:.0f} s after the last job")
                return
            observation = self._observe(estimators, served=self._ended - ended_before)
            ended_before = self._ended
            self._carry_out(decide(observation, limits), observation)
            self._now += self.scale.tick_seconds

    def _step_workers(self, estimators: Estimators) -> None:
        for worker in self._workers:
            if worker.registers_at <= self._now < worker.registers_at + self.scale.tick_seconds:
                estimators.observe_boot(worker.registers_at - worker.launched_at)
            if worker.busy_until is not None and worker.busy_until <= self._now:
                worker.busy_until = None
                self._ended += 1
            if worker.is_idle(self._now) and self._queue and self.rng.random() < CLAIM_PROBABILITY:
                _, service_seconds = self._queue.popleft()
                worker.busy_until = self._now + service_seconds
                self._ended_seconds += service_seconds

    def _observe(self, estimators: Estimators, *, served: int) -> Observation:
        now = self._now
        registered = [worker for worker in self._workers if worker.registers_at <= now]
        booting_ages = [now - worker.launched_at for worker in self._workers if worker.registers_at > now]
        ages = [self.scale.tick_seconds for worker in registered if worker.busy_until is not None]
        idle_ages = [now - worker.registers_at for worker in registered if worker.busy_until is None]
        queued = {"f": len(self._queue)} if self._queue else {}
        oldest_seconds = now - self._queue[0][0] if self._queue else 0.0
        learned = estimators.observe(
            QueueSnapshot(
                now=now,
                queued=queued,
                running=[("f", age) for age in ages],
                ended={"f": self._ended},
                ended_seconds={"f": self._ended_seconds},
                served=served,
                oldest_seconds=oldest_seconds,
                ready=len(registered),
                booting=len(booting_ages),
            )
        )
        return Observation(
            now=now,
            queued=queued,
            oldest_seconds=oldest_seconds,
            running_ages=ages,
            idle_ages=idle_ages,
            busy=len(ages),
            draining=0,
            free_slots=len(idle_ages),
            booting_ages=booting_ages,
            estimates=learned,
        )

    def _carry_out(self, decision: Decision, observation: Observation) -> None:
        self.launches += decision.launch
        for _ in range(decision.launch):
            boot_seconds = self.scale.boot_seconds * self.rng.lognormvariate(0.0, 0.25)
            self._workers.append(_Worker(self._now, self._now + boot_seconds))
        if not decision.drain:
            return
        self.drains += decision.drain
        if observation.queued:
            self.violations.append(f"at {self._now:.0f} s, with jobs queued: {decision.reason}")
        idle = [worker for worker in self._workers if worker.is_idle(self._now)]
        idle.sort(key=lambda worker: worker.registers_at)
        for worker in idle[: decision.drain]:
            age_seconds = self._now - worker.registers_at
            # Half a boot, as learned, is not much less than half the shortest boots.
            if age_seconds < max(self.scale.min_idle_seconds, 0.3 * self.scale.boot_seconds):
                self.violations.append(f"at {self._now:.0f} s, at the age of {age_seconds:.1f} s: {decision.reason}")
            self._workers.remove(worker)
