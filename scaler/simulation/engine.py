"""Discrete-event simulation of a scaling policy: arrivals, boots and job ends on a virtual clock.

The policy is asked at its ticks, as an autoscaler's loop asks one in production.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from scaler.simulation.system import Instance, RunningJob, Scenario, SimulatedSystem
from scaler.simulation.trace import TracedJob

TERMINATION_GRACE_SECONDS = 3600.0
"""A run ends this long after its last job; instances that are still alive are billed and counted until then."""


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """The actions that a policy asks for at one tick.

    Attributes:
        launch: number of instances to launch.
        terminate: idle instances to terminate.
        cancel_booting: booting instances to terminate.
        recheck_seconds: time until the next tick unless something changes; None asks again at the regular interval.
        wake_seconds: time after which the policy must be asked although nothing waits, boots or idles.
    """

    launch: int = 0
    terminate: Sequence[Instance] = ()
    cancel_booting: Sequence[Instance] = ()
    recheck_seconds: float | None = None
    wake_seconds: float = math.inf


class Policy(Protocol):
    """A scaling policy. One object serves one run and may keep state.

    Attributes:
        interval_seconds: time between two ticks.
        wakes_on_arrival: whether the policy is also asked as soon as a job arrives while no instance is alive.
    """

    interval_seconds: float
    wakes_on_arrival: bool

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        """Return the plan at `system.now`. Must not change `system`."""


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """The outcome of one run.

    Attributes:
        waits: seconds from submission to start, by job in start order.
        paid_seconds: billed instance-seconds.
        peak: largest number of instances alive at once.
        fleet: (second, instances alive) at each change.
        never_terminated: instances that the policy left alive at the end.
        ended_at: second at which the last instance had gone.
    """

    waits: Sequence[float]
    paid_seconds: float
    launches: int
    peak: int
    fleet: Sequence[tuple[float, int]]
    never_terminated: int
    ended_at: float


class Simulator:
    """Runs one policy on one trace. Use it once."""

    def __init__(self, jobs: Sequence[TracedJob], scenario: Scenario) -> None:
        self._system = SimulatedSystem(scenario)
        self._jobs = jobs
        self._next_job = 0
        self._numbers = count()
        # A heap of (second, serial number, end of a boot or of a job).
        self._events: list[tuple[float, int, Instance | RunningJob]] = []
        self._last_finish_at = -math.inf

    def run(self, policy: Policy) -> SimulatedRun:
        """Run until every job is done and every instance terminated, or `TERMINATION_GRACE_SECONDS` have passed."""
        system, tick_at = self._system, 0.0
        while True:
            arrival_at, event_at = self._next_arrival_at(), self._next_event_at()
            if tick_at < arrival_at and tick_at < event_at:
                system.now = tick_at
                if self._is_over():
                    return self._end()
                plan = policy.plan(system)
                self._carry_out(plan)
                tick_at = self._next_tick(plan, policy.interval_seconds)
                continue
            if arrival_at <= event_at:
                self._take_arrival()
                if policy.wakes_on_arrival and system.alive == 0:
                    tick_at = arrival_at
            else:
                self._take_event()
            if system.queue:
                self._start_jobs()
            tick_at = min(tick_at, _next_multiple(system.now, policy.interval_seconds))

    def _next_arrival_at(self) -> float:
        return self._jobs[self._next_job].submit_seconds if self._next_job < len(self._jobs) else math.inf

    def _next_event_at(self) -> float:
        return self._events[0][0] if self._events else math.inf

    def _take_arrival(self) -> None:
        job = self._jobs[self._next_job]
        self._next_job += 1
        self._system.now = job.submit_seconds
        self._system.submit(job)

    def _take_event(self) -> None:
        self._system.now, _, ended = heapq.heappop(self._events)
        if isinstance(ended, RunningJob):
            self._system.finish_job(ended)
            self._last_finish_at = self._system.now
        else:
            self._system.register(ended)

    def _start_jobs(self) -> None:
        for started in self._system.start_jobs():
            self._schedule(self._system.now + started.job.service_seconds, started)

    def _carry_out(self, plan: ScalingPlan) -> None:
        for instance in (*plan.terminate, *plan.cancel_booting):
            self._system.terminate(instance)
        if plan.launch:
            for instance in self._system.launch(plan.launch):
                self._schedule(instance.ready_at, instance)

    def _schedule(self, at: float, event: Instance | RunningJob) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), event))

    def _next_tick(self, plan: ScalingPlan, interval_seconds: float) -> float:
        system = self._system
        if not system.queue and not system.idle and not system.booting:
            # Every instance is busy or none is alive: no policy acts before the next event, or the time that it named.
            next_at = min(self._next_event_at(), self._next_arrival_at(), system.now + plan.wake_seconds)
            return _next_multiple(next_at, interval_seconds) if next_at < math.inf else system.now
        if plan.recheck_seconds is None:
            return system.now + interval_seconds
        return max(system.now + interval_seconds, _next_multiple(system.now + plan.recheck_seconds, interval_seconds))

    def _is_over(self) -> bool:
        system = self._system
        if self._next_job < len(self._jobs) or system.unfinished_jobs:
            return False
        return system.alive == 0 or system.now > self._last_finish_at + TERMINATION_GRACE_SECONDS

    def _end(self) -> SimulatedRun:
        system = self._system
        never_terminated = system.alive
        for instance in [*system.idle, *system.booting]:
            system.terminate(instance)
        return SimulatedRun(
            waits=system.waits,
            paid_seconds=system.paid_seconds,
            launches=system.launches,
            peak=system.peak,
            fleet=system.fleet,
            never_terminated=never_terminated,
            ended_at=system.now,
        )


def _next_multiple(second: float, interval_seconds: float) -> float:
    """The first tick at or after the second: ticks fall on multiples of the interval."""
    return math.ceil(second / interval_seconds) * interval_seconds
