"""The simulated queue and fleet: jobs wait first in, first out for instances that boot, run them and are billed."""

import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from scaler.simulation.trace import TracedJob

MINIMUM_PAID_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class Instance:
    """One worker.

    Attributes:
        busy_slots: number of jobs that it runs.
        idle_since: valid while `busy_slots` is 0 and the instance has booted.
    """

    launched_at: float
    ready_at: float
    busy_slots: int = 0
    idle_since: float = math.inf


@dataclass(frozen=True, slots=True, eq=False)
class RunningJob:
    """A job on the instance that runs it."""

    job: TracedJob
    instance: Instance
    started_at: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """The conditions of a run that no policy controls.

    Attributes:
        slots: jobs that an instance runs at a time.
        boot_median_seconds, boot_sigma: parameters of the lognormal boot time.
        boot_time_factor: given the second of a launch, returns the factor on its boot time.
        grant_launches: given a second and a number of requested instances, returns the number that EC2 launches.
    """

    slots: int = 1
    boot_median_seconds: float = 90.0
    boot_sigma: float = 0.25
    max_workers: int = 1000
    seed: int = 1
    boot_time_factor: Callable[[float], float] = field(default=lambda _: 1.0)
    grant_launches: Callable[[float, int], int] = field(default=lambda _, requested: requested)


class SimulatedSystem:
    """The state of one run. Policies read it; only the simulator changes it.

    Attributes:
        now: the virtual second.
        queue: waiting jobs, oldest first.
        running: number of running jobs.
        idle: instances without a job, the longest idle first.
        booting: instances that have not registered yet, in launch order.
        arrived_by_function, finished_by_function: jobs by function, since the start.
        service_seconds_by_function: total service time of the finished jobs.
        queued_by_function: waiting jobs; only functions that have any.
        alive: billed instances: booting, idle or busy.
        fleet: (second, alive) at each change.
        waits: seconds from submission to start, by job in start order.
        paid_seconds: instance-seconds of the terminated instances.
    """

    def __init__(self, scenario: Scenario) -> None:
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
        self.alive = 0
        self.fleet: list[tuple[float, int]] = []
        self.waits: list[float] = []
        self.paid_seconds = 0.0
        self.launches = 0
        self.peak = 0
        self._busy: list[dict[Instance, None]] = [{} for _ in range(scenario.slots)]
        self._running_jobs: dict[RunningJob, None] = {}
        self._random = random.Random(scenario.seed)

    @property
    def unfinished_jobs(self) -> int:
        """Number of waiting and running jobs."""
        return len(self.queue) + self.running

    @property
    def free_slots(self) -> int:
        """Slots of registered instances that run nothing."""
        return (self.alive - len(self.booting)) * self.scenario.slots - self.running

    def running_ages(self) -> list[tuple[str, float]]:
        """Function and age in seconds of each running job."""
        return [(running.job.function, self.now - running.started_at) for running in self._running_jobs]

    def submit(self, job: TracedJob) -> None:
        """Append a job to the queue."""
        self.arrived_by_function[job.function] += 1
        self.queued_by_function[job.function] += 1
        self.queue.append(job)

    def launch(self, count: int) -> list[Instance]:
        """Launch as many instances as the scenario and `max_workers` allow; return the new ones, which boot now."""
        wanted = min(count, self.scenario.max_workers - self.alive)
        if wanted <= 0:
            return []
        granted = self.scenario.grant_launches(self.now, wanted)
        launched = [Instance(self.now, self._draw_ready_at()) for _ in range(granted)]
        self.booting.update(dict.fromkeys(launched))
        if launched:
            self.launches += granted
            self._change_alive(granted)
        return launched

    def register(self, instance: Instance) -> None:
        """Make a booted instance available, unless it was terminated while it booted."""
        if instance in self.booting:
            del self.booting[instance]
            self._free(instance)

    def terminate(self, instance: Instance) -> None:
        """Terminate an idle or booting instance and add what it cost."""
        if instance in self.booting:
            del self.booting[instance]
        else:
            del self.idle[instance]
            del self._busy[0][instance]
        self.paid_seconds += max(MINIMUM_PAID_SECONDS, self.now - instance.launched_at)
        self._change_alive(-1)

    def start_jobs(self) -> list[RunningJob]:
        """Start waiting jobs while slots are free; return the started ones.

        The fullest instance with a free slot gets the next job; among equals, the most recently used one. The others
        run empty, which is best for policies that count idle time by instance.
        """
        queue, busy, slots = self.queue, self._busy, self.scenario.slots
        started = []
        while queue:
            for running in range(slots - 1, -1, -1):
                if busy[running]:
                    break
            else:
                break
            instance, _ = busy[running].popitem()
            if running == 0:
                del self.idle[instance]
            job = queue.popleft()
            self.waits.append(self.now - job.submit_seconds)
            self._leave_queue(job.function)
            self.running += 1
            instance.busy_slots = running + 1
            if instance.busy_slots < slots:
                busy[instance.busy_slots][instance] = None
            started.append(RunningJob(job, instance, self.now))
        self._running_jobs.update(dict.fromkeys(started))
        return started

    def finish_job(self, running_job: RunningJob) -> None:
        """Finish a job that `start_jobs` returned."""
        del self._running_jobs[running_job]
        job, instance, totals = running_job.job, running_job.instance, self.service_seconds_by_function
        self.running -= 1
        self.finished_by_function[job.function] += 1
        totals[job.function] = totals.get(job.function, 0.0) + job.service_seconds
        if instance.busy_slots < self.scenario.slots:
            del self._busy[instance.busy_slots][instance]
        instance.busy_slots -= 1
        self._free(instance)

    def _draw_ready_at(self) -> float:
        boot_seconds = self.scenario.boot_median_seconds * self._random.lognormvariate(0.0, self.scenario.boot_sigma)
        return self.now + boot_seconds * self.scenario.boot_time_factor(self.now)

    def _leave_queue(self, function: str) -> None:
        if self.queued_by_function[function] == 1:
            del self.queued_by_function[function]
        else:
            self.queued_by_function[function] -= 1

    def _free(self, instance: Instance) -> None:
        self._busy[instance.busy_slots][instance] = None
        if instance.busy_slots == 0:
            instance.idle_since = self.now
            self.idle[instance] = None

    def _change_alive(self, change: int) -> None:
        self.alive += change
        self.peak = max(self.peak, self.alive)
        self.fleet.append((self.now, self.alive))
