"""The virtual clock: a FIFO queue, instances that boot, serve and are paid for, and a policy asked at its ticks."""

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from scaler.simulation.trace import TracedJob

MINIMUM_PAID_SECONDS = 60.0
TERMINATION_GRACE_SECONDS = 3600.0
"""What still lives so long after the last job is paid until then, and counted as left over."""


@dataclass(slots=True, eq=False)
class Instance:
    """One worker. `running` counts its busy slots; `idle_since` holds while that is 0 and it has booted."""

    launched_at: float
    ready_at: float
    running: int = 0
    idle_since: float = math.inf


@dataclass(frozen=True, slots=True)
class ScalingPlan:
    """What a policy wants done.

    Attributes:
        launch: how many instances.
        release: idle instances to end.
        cancel: booting instances to end.
        recheck_seconds: nothing will be wanted for so long, unless something changes; None asks at the next tick.
    """

    launch: int = 0
    terminate: Sequence[Instance] = ()
    cancel_booting: Sequence[Instance] = ()
    recheck_seconds: float | None = None


NOTHING = ScalingPlan()


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the policy does not choose.

    Attributes:
        slots: jobs that an instance runs at a time.
        boot_median_seconds, boot_sigma: of the lognormal boot time.
        boot_factor: multiplies the boot time of what is launched at that second.
        launchable: how many of so many asked for at that second the system gives.
    """

    slots: int = 1
    boot_median_seconds: float = 90.0
    boot_sigma: float = 0.25
    max_workers: int = 1000
    seed: int = 1
    boot_time_factor: Callable[[float], float] = field(default=lambda _: 1.0)
    grant_launches: Callable[[float, int], int] = field(default=lambda _, wanted: wanted)


class Policy(Protocol):
    """What is asked. One object serves one run and may remember.

    Attributes:
        interval_seconds: between two ticks.
        wakes_on_arrival: also asked at once when a job comes while nothing lives.
    """

    interval_seconds: float
    wakes_on_arrival: bool

    def plan(self, system: "SimulatedSystem") -> ScalingPlan:
        """The plan at `system.now`; `system` is only to be read."""


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """What happened.

    Attributes:
        waits: seconds from submission to start, by job in the order of starting.
        paid_seconds: instance-seconds.
        peak: most instances alive at once.
        fleet: (second, alive) at each change.
        left_over: instances that the policy never let go.
        ended_at: second at which the last instance had gone.
    """

    waits: Sequence[float]
    paid_seconds: float
    launches: int
    peak: int
    fleet: Sequence[tuple[float, int]]
    never_terminated: int
    ended_at: float


class SimulatedSystem:
    """The state of one run.

    Attributes:
        now: the virtual second.
        queue: jobs that wait, the oldest first.
        running: jobs that run.
        idle: instances without a job, the one that has been so for longest first.
        booting: instances that have not registered yet, in the order of launching.
        arrived, finished: jobs by function, since the beginning.
        finished_seconds: their service by function.
        queued_by_function: jobs that wait, where any do.
    """

    def __init__(self, jobs: Sequence[TracedJob], scenario: Scenario) -> None:
        self.scenario = scenario
        self.now = 0.0
        self.queue: deque[TracedJob] = deque()
        self.running = 0
        self.idle: dict[Instance, None] = {}
        self.booting: dict[Instance, None] = {}
        self.arrived_by_function: Counter[str] = Counter()
        self.finished_by_function: Counter[str] = Counter()
        self.service_seconds_by_function: dict[str, float] = {}
        self.queued_by_function: Counter[str] = Counter()
        self._jobs = jobs
        self._busy: list[dict[Instance, None]] = [{} for _ in range(scenario.slots)]
        self._running: dict[int, tuple[TracedJob, float]] = {}
        self._alive = 0
        self._random = random.Random(scenario.seed)
        self._waits: list[float] = []
        self._paid_seconds = 0.0
        self._launches = 0
        self._peak = 0
        self._fleet: list[tuple[float, int]] = []
        self._events: list[tuple[float, int, Instance, TracedJob | None]] = []
        self._numbers = count()

    @property
    def alive(self) -> int:
        """Instances that are paid for: booting, idle or busy."""
        return self._alive

    @property
    def unfinished_jobs(self) -> int:
        """Jobs that wait or run."""
        return len(self.queue) + self.running

    @property
    def free_slots(self) -> int:
        """Slots of registered instances that run nothing."""
        return (self._alive - len(self.booting)) * self.scenario.slots - self.running

    def running_ages(self) -> list[tuple[str, float]]:
        """Function and age in seconds of each running job."""
        return [(job.function, self.now - begun_at) for job, begun_at in self._running.values()]

    def run(self, policy: Policy) -> SimulatedRun:
        """Runs until every job is done and every instance gone, or left over for too long."""
        jobs, events, infinity = self._jobs, self._events, math.inf
        following, last, tick_at, done_at = 0, len(jobs), 0.0, -infinity
        while True:
            arrival_at = jobs[following].submit_seconds if following < last else infinity
            event_at = events[0][0] if events else infinity
            if tick_at < arrival_at and tick_at < event_at:
                self.now = tick_at
                if (
                    following == last
                    and not self.unfinished_jobs
                    and (self._alive == 0 or tick_at > done_at + TERMINATION_GRACE_SECONDS)
                ):
                    break
                plan = policy.plan(self)
                self._carry_out(plan)
                tick_at = self._next_tick(plan, policy.interval_seconds, arrival_at)
                continue
            if arrival_at <= event_at:
                self.now = arrival_at
                job = jobs[following]
                following += 1
                self.arrived_by_function[job.function] += 1
                self.queued_by_function[job.function] += 1
                self.queue.append(job)
                if policy.wakes_on_arrival and self._alive == 0:
                    tick_at = arrival_at
            else:
                self.now, number, instance, finished = heapq.heappop(events)
                if finished is not None:
                    del self._running[number]
                    self._finish(instance, finished)
                    done_at = self.now
                elif instance in self.booting:
                    del self.booting[instance]
                    self._free(instance)
            if self.queue:
                self._dispatch()
            tick_at = min(tick_at, _grid(self.now, policy.interval_seconds))
        left_over = self._alive
        for instance in [*self.idle, *self.booting]:
            self._end(instance)
        return SimulatedRun(
            self._waits, self._paid_seconds, self._launches, self._peak, self._fleet, left_over, self.now
        )

    def _next_tick(self, plan: ScalingPlan, interval_seconds: float, arrival_at: float) -> float:
        quiet = not self.queue and not self.idle and not self.booting
        if quiet:
            # Every instance is busy or none lives: no policy does anything before something happens.
            following = self._events[0][0] if self._events else arrival_at
            return _grid(min(following, arrival_at), interval_seconds) if following < math.inf else self.now
        if plan.recheck_seconds is None:
            return self.now + interval_seconds
        return max(self.now + interval_seconds, _grid(self.now + plan.recheck_seconds, interval_seconds))

    def _carry_out(self, plan: ScalingPlan) -> None:
        for instance in plan.terminate:
            del self.idle[instance]
            del self._busy[0][instance]
            self._end(instance)
        for instance in plan.cancel_booting:
            self._end(instance)
        room = self.scenario.max_workers - self._alive
        wanted = min(plan.launch, room)
        if wanted > 0:
            self._launch(self.scenario.grant_launches(self.now, wanted))

    def _launch(self, number: int) -> None:
        for _ in range(number):
            boot_seconds = self.scenario.boot_median_seconds * self._random.lognormvariate(
                0.0, self.scenario.boot_sigma
            )
            ready_at = self.now + boot_seconds * self.scenario.boot_time_factor(self.now)
            instance = Instance(self.now, ready_at)
            self.booting[instance] = None
            heapq.heappush(self._events, (ready_at, next(self._numbers), instance, None))
        self._launches += number
        self._change(number)

    def _end(self, instance: Instance) -> None:
        self.booting.pop(instance, None)
        self._paid_seconds += max(MINIMUM_PAID_SECONDS, self.now - instance.launched_at)
        self._change(-1)

    def _change(self, number: int) -> None:
        self._alive += number
        self._peak = max(self._peak, self._alive)
        self._fleet.append((self.now, self._alive))

    def _dispatch(self) -> None:
        """Gives the queue's head to the fullest instance with a free slot, and among those to the last that was used.

        That lets the others run empty, which is the best for policies that count idle time by instance.
        """
        queue, busy, slots = self.queue, self._busy, self.scenario.slots
        while queue:
            for running in range(slots - 1, -1, -1):
                if busy[running]:
                    break
            else:
                return
            instance, _ = busy[running].popitem()
            if running == 0:
                del self.idle[instance]
            job = queue.popleft()
            self._waits.append(self.now - job.submit_seconds)
            self._leave_queue(job.function)
            self.running += 1
            instance.running = running + 1
            if instance.running < slots:
                busy[instance.running][instance] = None
            number = next(self._numbers)
            self._running[number] = (job, self.now)
            heapq.heappush(self._events, (self.now + job.service_seconds, number, instance, job))

    def _leave_queue(self, function: str) -> None:
        if self.queued_by_function[function] == 1:
            del self.queued_by_function[function]
        else:
            self.queued_by_function[function] -= 1

    def _finish(self, instance: Instance, job: TracedJob) -> None:
        self.running -= 1
        self.finished_by_function[job.function] += 1
        self.service_seconds_by_function[job.function] = (
            self.service_seconds_by_function.get(job.function, 0.0) + job.service_seconds
        )
        if instance.running < self.scenario.slots:
            del self._busy[instance.running][instance]
        instance.running -= 1
        self._free(instance)

    def _free(self, instance: Instance) -> None:
        self._busy[instance.running][instance] = None
        if instance.running == 0:
            instance.idle_since = self.now
            self.idle[instance] = None


def _grid(second: float, interval_seconds: float) -> float:
    """The first tick at or after the second: ticks fall on multiples of the interval, whatever is skipped between."""
    return math.ceil(second / interval_seconds) * interval_seconds
