"""The scaling policy: how many workers to launch or to drain. Pure: numbers in, a decision with its reason out.

All costs are in instance-seconds; the wait weight `w` is the price of one job-second of waiting. The policy launches a
worker if that saves more waiting than it costs. It keeps an idle worker as long as demand is likely to return to it
(the ski-rental problem: rent on, or buy again). `docs/scaling.md` explains the rule with an example to check by hand.
"""

import heapq
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, pairwise
from math import log

RECHECK_SECONDS = 5.0
"""A decision holds for this long unless something changes."""
FIRST_RELEASE_HAZARDS = (0.18, 0.69, 1.79)
"""Scenarios early, typical, late: the first busy slot becomes free at this many expected releases (the quantiles
1/6, 1/2 and 5/6 of an exponential distribution)."""
HORIZONS = (0.0, *(2.0 * 1.5**power for power in range(27)))
"""Seconds ahead at which the number of ended jobs is estimated; up to 21 hours."""
MIN_AGE_BOOTS = 0.5
"""Minimum age of a worker, counted from its registration, in boots: what took so long to start stays for a while."""
DELAYS = (5.0, 15.0)
"""Seconds by which a launch can be postponed, if that is cheaper."""
MAX_VAIN_LAUNCHES = 0.5
"""Long jobs wait for a busy slot until their waiting has cost this share of a launch."""
LONG_JOB_BOOTS = 2.0
"""Jobs that run for at least so many boots are long: a new worker would serve one of them, not many."""
MAX_SCHEDULED = 200
"""Queued jobs that are scheduled one by one; longer queues are scheduled in this many groups of equal size."""
MAX_SAMPLED_AGES = 64
"""Running jobs whose remaining time is estimated one by one; of more, a sample represents all."""


@dataclass(frozen=True, slots=True)
class ScheduledMinimum:
    """A minimum number of workers on these weekdays (0 is Monday) between two minutes of the day, in UTC."""

    workers: int
    from_minute: int
    to_minute: int
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows and wants.

    Attributes:
        min_workers, max_workers: bounds. The maximum always wins; booting and draining workers count against it.
        slots_per_worker: number of jobs that one worker runs at a time.
        wait_weight: w, the price of a job-second of waiting in instance-seconds. Higher values wait less and cost more.
        min_billed_seconds: minimum billing time of an instance: 60 on EC2, 0 for local processes.
        min_idle_seconds: minimum time before an unneeded worker is drained.
        hourly_budget: maximum cost of the fleet per hour, in the currency of `hourly_price`; None: no limit.
        hourly_price: price of one instance per hour.
        min_workers_schedule: minimum by weekday and time of day.
    """

    min_workers: int
    max_workers: int
    slots_per_worker: int = 1
    wait_weight: float = 1.0
    min_billed_seconds: float = 0.0
    min_idle_seconds: float = 10.0
    hourly_budget: float | None = None
    hourly_price: float = 0.0
    min_workers_schedule: tuple[ScheduledMinimum, ...] = ()

    def launch_seconds(self, boot_seconds: float) -> float:
        """Return the cost of a launch before the worker serves."""
        return max(self.min_billed_seconds, boot_seconds)

    def min_age_seconds(self, boot_seconds: float) -> float:
        """Return how old a worker must be, counted from its registration, before it can be drained as unneeded."""
        return max(self.min_idle_seconds, MIN_AGE_BOOTS * boot_seconds)

    def max_workers_allowed(self) -> int:
        """Return the maximum that `max_workers` and the budget allow."""
        if self.hourly_budget is None or self.hourly_price <= 0:
            return self.max_workers
        return int(min(self.max_workers, self.hourly_budget / self.hourly_price))

    def min_workers_required(self, now: float) -> int:
        """Return the minimum that `min_workers` and the schedule require at this Unix time."""
        if not self.min_workers_schedule:
            return min(self.min_workers, self.max_workers_allowed())
        minute, weekday = int(now // 60) % 1440, (int(now // 86_400) + 3) % 7
        scheduled = [
            each.workers
            for each in self.min_workers_schedule
            if weekday in each.weekdays and each.from_minute <= minute < each.to_minute
        ]
        return min(max([self.min_workers, *scheduled]), self.max_workers_allowed())


@dataclass(frozen=True, slots=True)
class ExpectedBatch:
    """The next batch of jobs that come in a rhythm.

    Attributes:
        jobs: their number.
        every_seconds: time between two batches.
        in_seconds: time until the batch; below 0 while it is hardly late.
        workers: number of workers, ready when it comes, with which its waiting and its workers cost least.
        other_workers: number of workers that other jobs have needed at once within the last periods.
        functions: all functions whose jobs come in a rhythm.
        is_missing: the last batch has not come, so this one may not come either.
    """

    jobs: int
    every_seconds: float
    in_seconds: float
    workers: int
    other_workers: int
    functions: frozenset[str]
    is_missing: bool

    def __str__(self) -> str:
        next_one = f"next in {max(0.0, self.in_seconds):.0f}s{' (the last did not come)' if self.is_missing else ''}"
        return f"a batch of {self.jobs} job{'s' * (self.jobs > 1)} comes every {self.every_seconds:.0f}s, {next_one}"


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the estimators have learned.

    The n-th worker is the marginal worker of a fleet of size n: the one that demand needs least.

    Attributes:
        service_seconds: mean service time of the queued jobs.
        boot_seconds: mean time from launch to registration.
        survival: share of all jobs that run longer than an age in seconds; above 0.
        hold_factor: by fleet size, share of the break-even for which the marginal worker is kept idle.
        miss_cost_seconds: by fleet size, job-seconds of waiting if demand returns after the marginal worker is gone.
        idle_gap_seconds: by fleet size, time for which demand has not reached the marginal worker.
        net_idle_seconds: by fleet size, time for which the marginal worker has idled, less the waiting that it saved.
        saved_seconds: by fleet size, what the marginal worker would recently have saved, up to the cost of a launch.
        batch: the next batch that is expected; None without a rhythm.
    """

    service_seconds: float
    boot_seconds: float
    survival: Callable[[float], float]
    hold_factor: Callable[[int], float]
    miss_cost_seconds: Callable[[int], float]
    idle_gap_seconds: Callable[[int], float]
    net_idle_seconds: Callable[[int], float]
    saved_seconds: Callable[[int], float]
    batch: ExpectedBatch | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """The queue and the fleet at one moment.

    Attributes:
        now: Unix time.
        queued: waiting jobs by function: those that the scaler's workers could run now.
        oldest_seconds: time that the first job of the queue has waited.
        running_ages: seconds that each running job has run.
        idle_ages: seconds since the registration of each idle worker.
        busy, draining: other registered workers by state.
        free_slots: free slots of the registered workers that are not draining.
        booting_ages: seconds since the launch of each worker that has not registered.
        stale: some numbers are missing or old, so nothing is drained.
        paused, unserved: jobs that wait in paused queues, and in queues that the scaler's workers do not serve. They
            start no instance and keep none, so `queued` and `oldest_seconds` leave them out.
    """

    now: float
    queued: Mapping[str, int]
    oldest_seconds: float
    running_ages: Sequence[float]
    idle_ages: Sequence[float]
    busy: int
    draining: int
    free_slots: int
    booting_ages: Sequence[float]
    estimates: Estimates
    stale: bool = False
    paused: int = 0
    unserved: int = 0

    @property
    def idle(self) -> int:
        """Number of idle workers."""
        return len(self.idle_ages)

    @property
    def serving(self) -> int:
        """Number of workers that serve or soon will: all but the draining ones."""
        return self.idle + self.busy + len(self.booting_ages)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do.

    Attributes:
        launch: number of workers to launch.
        drain: number of workers to drain: idle ones of at least `min_age_seconds`, unless `is_over_maximum`.
        reason: one line that can be checked by hand.
        is_over_maximum: the workers to drain are above the maximum: of any age, and busy ones if too few are idle.
        min_age_seconds: minimum age of the workers that can be drained as unneeded.
        recheck_seconds: the decision stays the same for this long unless something changes.
        numbers: the observed numbers that the reason refers to.
    """

    launch: int
    drain: int
    reason: str
    is_over_maximum: bool = False
    min_age_seconds: float = 0.0
    recheck_seconds: float = RECHECK_SECONDS
    numbers: Mapping[str, float] = field(default_factory=dict)


def decide(observation: Observation, limits: Limits) -> Decision:
    """Return the decision for one observation.

    Draining workers take no new jobs, so they are no capacity. They count against the maximum until they are gone.
    """
    serving, maximum = observation.serving, limits.max_workers_allowed()
    if serving > maximum:
        return _scale_in_to_maximum(observation, limits, serving - maximum)
    headroom = max(0, maximum - serving - observation.draining)
    queued = sum(observation.queued.values())
    waiting = max(0, queued - observation.free_slots)
    wanted, why = _workers_for_batch(observation, limits)
    if waiting:
        for_waiting = _workers_to_launch(observation, limits, min(headroom, waiting))
        wanted, why = max(for_waiting, (wanted, why), key=lambda launches: launches[0])
    minimum = limits.min_workers_required(observation.now)
    if serving + wanted < minimum:
        wanted, why = minimum - serving, f"the minimum is {minimum}"
    launch = min(wanted, headroom)
    if launch > 0:
        return _decision(observation, limits, f"LAUNCH {launch}: {why}", launch=launch)
    if observation.stale:
        return _decision(observation, limits, f"KEEP {serving}: some numbers are stale")
    if queued or serving <= minimum:
        return _decision(observation, limits, f"KEEP {serving}: {_why_kept(observation, limits, why)}")
    return _scale_in(observation, limits, minimum)


def _why_kept(observation: Observation, limits: Limits, why: str) -> str:
    """Return why the fleet stays as it is; `why` is the reason for launching no worker for the jobs that wait."""
    if why and observation.serving + observation.draining >= limits.max_workers_allowed():
        draining = f", {observation.draining} of them draining" if observation.draining else ""
        return f"the maximum of {limits.max_workers_allowed()} is reached{draining}"
    if why:
        return why
    if observation.queued:
        return "there is a free slot for each queued job"
    minimum = limits.min_workers_required(observation.now)
    return f"the minimum is {minimum}" if minimum else "there are no workers, and no job waits that they could run"


def _scale_in_to_maximum(observation: Observation, limits: Limits, excess: int) -> Decision:
    """Drain what is above the maximum, whatever waits: under constant load no moment comes at which nothing waits.

    No worker goes for one that still boots and may never register. Booting workers go once they have registered.
    """
    serving, maximum = observation.serving, limits.max_workers_allowed()
    drain = max(0, observation.idle + observation.busy - maximum)
    if observation.stale:
        return _decision(observation, limits, f"KEEP {serving}: some numbers are stale")
    if not drain:
        reason = f"KEEP {serving}: {excess} above the maximum of {maximum} drain once they have booted"
        return _decision(observation, limits, reason)
    reason = f"DRAIN {drain}: {excess} above the maximum of {maximum}"
    return _decision(observation, limits, reason, drain=drain, is_over_maximum=True)


def _workers_to_launch(observation: Observation, limits: Limits, max_launches: int) -> tuple[int, str]:
    """Return how many launches the waiting jobs justify, and why."""
    if not max_launches:
        return 0, "the maximum is reached"
    wanted, why = _Backlog.of(observation, limits).worth_launching(max_launches)
    overdue = min(_overdue_workers(observation, limits), max_launches)
    if overdue > wanted:
        launch_seconds = limits.launch_seconds(observation.estimates.boot_seconds)
        wanted = overdue
        why = (
            f"waited in vain for a busy slot: w * {observation.oldest_seconds:.0f}s >= {MAX_VAIN_LAUNCHES:g}"
            f" of launch {launch_seconds:.0f}s, and the jobs are long"
        )
    return _add_proven_workers(observation, limits, wanted, why, max_launches)


def _workers_for_batch(observation: Observation, limits: Limits) -> tuple[int, str]:
    """Return how many workers to launch for a batch that comes when they have booted, and why."""
    estimates = observation.estimates
    batch, slots, survival = estimates.batch, limits.slots_per_worker, estimates.survival
    if batch is None or batch.is_missing or not 0 < batch.in_seconds <= estimates.boot_seconds:
        return 0, ""
    sampled, weight = _sample(observation.running_ages)
    still_running = weight * sum([survival(age + batch.in_seconds) / survival(age) for age in sampled])
    # Workers that were launched with more slots can run more jobs than new ones.
    free_slots = max(0, observation.serving * slots - round(still_running))
    wanted = batch.workers - free_slots // slots
    if wanted <= 0:
        return 0, ""
    return wanted, (
        f"{batch}, and a new worker takes {estimates.boot_seconds:.0f}s; {batch.workers} workers cost least,"
        f" {batch.workers - wanted} will be free"
    )


def _overdue_workers(observation: Observation, limits: Limits) -> int:
    """Return the number of workers for the jobs that no free or booting slot will take, if they have waited in vain.

    Whatever the estimates say, long jobs wait for busy slots only until that has cost a share of a launch. Short ones
    are left to the schedule: a busy slot serves many of them within a boot.
    """
    estimates, slots = observation.estimates, limits.slots_per_worker
    launch_seconds = limits.launch_seconds(estimates.boot_seconds)
    if limits.wait_weight * observation.oldest_seconds < MAX_VAIN_LAUNCHES * launch_seconds:
        return 0
    if estimates.service_seconds < LONG_JOB_BOOTS * estimates.boot_seconds:
        return 0
    covered = observation.free_slots + len(observation.booting_ages) * slots
    return max(0, -(-(sum(observation.queued.values()) - covered) // slots))


def _add_proven_workers(
    observation: Observation, limits: Limits, wanted: int, why: str, max_launches: int
) -> tuple[int, str]:
    """Add further workers if recent demand has shown that each of them saves the cost of its launch."""
    estimates, serving = observation.estimates, observation.serving
    launch_seconds = limits.launch_seconds(estimates.boot_seconds)
    proven, batch = wanted, estimates.batch
    if batch and batch.functions.issuperset(observation.queued):
        # More workers than the batch needs save waiting while it lasts, and idle in vain until the next one.
        max_launches = min(max_launches, batch.workers - serving)
    while proven < max_launches and estimates.saved_seconds(serving + proven + 1) >= launch_seconds:
        proven += 1
    if proven == wanted:
        return wanted, why
    saved_seconds = estimates.saved_seconds(serving + proven)
    return proven, (
        f"worker {serving + proven} would recently have saved {saved_seconds:.0f}s (w * waiting - idling)"
        f" >= launch {launch_seconds:.0f}s"
    )


def _scale_in(observation: Observation, limits: Limits, minimum: int) -> Decision:
    """Check the fleet's marginal workers one by one. Booting workers are kept until they have reached a minimum age.

    No job may be queued: a job that any of the workers could run keeps them all.
    """
    estimates, serving = observation.estimates, observation.serving
    min_age_seconds = limits.min_age_seconds(estimates.boot_seconds)
    old_enough = sum(age >= min_age_seconds for age in observation.idle_ages)
    size = serving
    while serving - size < old_enough and size > minimum and _is_unneeded(observation, limits, size):
        size -= 1
    drain = serving - size
    level = size + 1 if drain else size
    done = f"DRAIN {drain}" if drain else f"KEEP {serving}"
    unused = f"level {level} unused for {estimates.idle_gap_seconds(level):.0f}s"
    minima = (
        f"minimum idle time {limits.min_idle_seconds:g}s; "
        f"{old_enough} of {observation.idle} idle workers reach the minimum age {min_age_seconds:.0f}s"
    )
    if _batch_decides(observation, limits, level):
        why = _why_for_batch(observation, limits, level)
        return _decision(observation, limits, f"{done}: {why}; {unused}; {minima}", drain=drain)
    net_idle_seconds = estimates.net_idle_seconds(level)
    break_even_seconds = _break_even_seconds(estimates, limits, level)
    launch_seconds = limits.launch_seconds(estimates.boot_seconds)
    why = (
        f"{unused}, idle {net_idle_seconds:.0f}s net; "
        f"hold factor {estimates.hold_factor(level):g} of break-even {break_even_seconds:.0f}s = "
        f"launch {launch_seconds:.0f}s + w * {estimates.miss_cost_seconds(level):.0f} job-seconds missed; {minima}"
    )
    return _decision(observation, limits, f"{done}: {why}", drain=drain)


def _is_unneeded(observation: Observation, limits: Limits, size: int) -> bool:
    """Whether a fleet's marginal worker must go: after one long gap in demand, or many short ones that do not pay."""
    estimates = observation.estimates
    gap_seconds = estimates.idle_gap_seconds(size)
    if gap_seconds <= 0 or gap_seconds < limits.min_idle_seconds:
        return False
    if _batch_decides(observation, limits, size):
        return not _is_kept_for_batch(observation, limits, size)
    break_even_seconds = _break_even_seconds(estimates, limits, size)
    hold_seconds = estimates.hold_factor(size) * break_even_seconds
    return gap_seconds >= hold_seconds or estimates.net_idle_seconds(size) >= break_even_seconds


def _batch_decides(observation: Observation, limits: Limits, size: int) -> bool:
    """Whether the next batch decides about a fleet's marginal worker: it needs it, or nothing else has."""
    batch = observation.estimates.batch
    return batch is not None and (size > batch.other_workers or _is_kept_for_batch(observation, limits, size))


def _is_kept_for_batch(observation: Observation, limits: Limits, size: int) -> bool:
    """Whether idling until the next batch is not dearer than another launch for it."""
    batch = observation.estimates.batch
    if batch is None or size - observation.busy > batch.workers:
        return False
    return batch.in_seconds <= limits.launch_seconds(observation.estimates.boot_seconds)


def _why_for_batch(observation: Observation, limits: Limits, size: int) -> str:
    batch, launch_seconds = observation.estimates.batch, limits.launch_seconds(observation.estimates.boot_seconds)
    if batch is not None and size - observation.busy > batch.workers:
        return f"{batch}; {batch.workers} workers cost least, and other jobs have needed {batch.other_workers}"
    sign = "<=" if _is_kept_for_batch(observation, limits, size) else ">"
    return f"{batch}; idling until then {sign} launch {launch_seconds:.0f}s"


def _break_even_seconds(estimates: Estimates, limits: Limits, size: int) -> float:
    """Return the idle time that costs as much as removing a fleet's marginal worker and needing it again."""
    launch_seconds = limits.launch_seconds(estimates.boot_seconds)
    return launch_seconds + limits.wait_weight * estimates.miss_cost_seconds(size)


def _decision(
    observation: Observation,
    limits: Limits,
    reason: str,
    *,
    launch: int = 0,
    drain: int = 0,
    is_over_maximum: bool = False,
) -> Decision:
    numbers = {
        "queued": sum(observation.queued.values()),
        "oldest_seconds": round(observation.oldest_seconds, 1),
        "idle": observation.idle,
        "busy": observation.busy,
        "draining": observation.draining,
        "booting": len(observation.booting_ages),
        "service_seconds": round(observation.estimates.service_seconds, 3),
        "w": round(limits.wait_weight, 3),
        "min": limits.min_workers_required(observation.now),
        "max": limits.max_workers_allowed(),
        **({"paused": observation.paused} if observation.paused else {}),
        **({"unserved": observation.unserved} if observation.unserved else {}),
    }
    facts = " ".join(f"{name}={value:g}" for name, value in numbers.items())
    return Decision(
        launch,
        drain,
        f"{reason}; {facts}",
        is_over_maximum=is_over_maximum,
        min_age_seconds=limits.min_age_seconds(observation.estimates.boot_seconds),
        numbers=numbers,
    )


@dataclass(frozen=True, slots=True)
class _Backlog:
    """The queue, scheduled first in, first out onto slots that become free and onto the slots of new workers.

    Attributes:
        free_at: for each scenario, when the slots of existing and booting workers become free, in ascending seconds.
        slots: slots per worker.
    """

    queued: int
    free_at: Sequence[Sequence[float]]
    slots: int
    service_seconds: float
    boot_seconds: float
    launch_seconds: float
    wait_weight: float

    @classmethod
    def of(cls, observation: Observation, limits: Limits) -> "_Backlog":
        estimates, slots = observation.estimates, limits.slots_per_worker
        boot_seconds = estimates.boot_seconds
        # A late worker can register at any moment, or never: it is expected in a tenth of a boot.
        etas = [max(boot_seconds / 10, boot_seconds - age) for age in observation.booting_ages]
        known = [0.0] * observation.free_slots + [eta for eta in etas for _ in range(slots)]
        queued = sum(observation.queued.values())
        scenarios = _release_scenarios(observation.running_ages, estimates, queued) if queued else ((),)
        return cls(
            queued=queued,
            free_at=[sorted([*known, *releases]) for releases in scenarios],
            slots=slots,
            service_seconds=estimates.service_seconds,
            boot_seconds=boot_seconds,
            launch_seconds=limits.launch_seconds(boot_seconds),
            wait_weight=limits.wait_weight,
        )

    def worth_launching(self, max_launches: int) -> tuple[int, str]:
        """Return the number of launches with the least total cost, and why; 0 if waiting a little is cheaper."""
        launch_seconds = self.launch_seconds

        @cache
        def cost(launches: int) -> float:
            return self.wait_weight * self._waiting(launches, self.free_at, 0.0) + launch_seconds * launches

        # Each further worker saves less than the one before, so a galloping search finds the best number. Of a queue
        # that is scheduled in groups it begins with as many slots as a group, because fewer are lost in rounding.
        count, step = 0, -(-self.queued // (MAX_SCHEDULED * self.slots))
        while step:
            best = min((count, min(count + step, max_launches), max(count - step, 0)), key=cost)
            if best == count:
                step //= 2
            else:
                count, step = best, step * 2 if best > count else step
        waiting_without, least_cost = cost(0) / self.wait_weight, cost(count)
        waiting = (least_cost - launch_seconds * count) / self.wait_weight
        saved = self.wait_weight * (waiting_without - waiting)
        if not count:
            return 0, (
                f"no launch saves its price of {launch_seconds:.0f}s in waiting"
                f" (wait {waiting_without:.0f} job-seconds)"
            )
        figures = (
            f"wait {waiting_without:.0f} -> {waiting:.0f} job-seconds saves {saved:.0f}s,"
            f" cost {launch_seconds * count:.0f}s"
        )
        for delay in DELAYS if count < MAX_SAMPLED_AGES else ():
            if self._delayed_cost(count, delay) < least_cost - 1e-9:
                return 0, (
                    f"a slot can become free within {delay:.0f}s,"
                    f" which is cheaper than launching {count} now ({figures})"
                )
        return count, figures

    def _delayed_cost(self, count: int, delay: float) -> float:
        """Return the cost of launching after a delay, less one launch for each slot that becomes free by then."""
        cost = 0.0
        for free in self.free_at:
            freed = sum(0 < second <= delay for second in free)
            launched = max(0, count - freed)
            cost += self.wait_weight * self._waiting(launched, (free,), delay) + self.launch_seconds * launched
        return cost / len(self.free_at)

    def _waiting(self, launches: int, free_at: Sequence[Sequence[float]], delay: float) -> float:
        """Return the job-seconds that the queue waits with launches after a delay: the mean of the scenarios."""
        new_slots, ready_at = launches * self.slots, self.boot_seconds + delay
        return sum(self._schedule(free, new_slots, ready_at) for free in free_at) / len(free_at)

    def _schedule(self, free: Sequence[float], new_slots: int, ready_at: float) -> float:
        """Schedule the queue onto slots that become free, and onto new slots; return the job-seconds of waiting."""
        never = 20 * (self.boot_seconds + self.launch_seconds / self.wait_weight)
        slot_count = len(free) + new_slots
        if not slot_count:
            return self.queued * never
        # Groups of jobs go to groups of equally many slots. Slots beyond the number of jobs stay idle.
        jobs = min(self.queued, MAX_SCHEDULED)
        group = self.queued / jobs
        groups = max(1, round(slot_count / group))
        seconds = self.service_seconds * group * groups / slot_count
        earlier = bisect_right(free, ready_at)
        slots = []
        for index in range(min(groups, jobs)):
            position = int((index + 0.5) * slot_count / groups)
            if position < earlier:
                slots.append(free[position])
            else:
                slots.append(ready_at if position < earlier + new_slots else free[position - new_slots])
        # So many jobs of a group share a slot, one after the other.
        sharing = group * groups / slot_count if slot_count < self.queued else 1.0
        waiting = 0.0
        for _ in range(jobs):
            second = slots[0]
            if second >= never:
                waiting += never
            elif sharing <= 1:
                waiting += second
            else:
                waiting += never - self._earlier(sharing, never - second)
            heapq.heapreplace(slots, second + seconds)
        return waiting * group

    def _earlier(self, sharing: float, left: float) -> float:
        """Return by how many seconds, on average, jobs that share a slot start before a limit.

        Args:
            sharing: number of these jobs.
            left: seconds from the start of the first one to the limit.
        """
        service_seconds = self.service_seconds
        whole = int(sharing)
        if sharing * service_seconds > left:
            whole = min(whole, int(left / service_seconds) + 1)
        earlier = whole * left - service_seconds * whole * (whole - 1) / 2
        return (earlier + (sharing - whole) * max(0.0, left - whole * service_seconds)) / sharing


def _release_scenarios(ages: Sequence[float], estimates: Estimates, limit: int) -> list[list[float]]:
    """Return for each scenario when the running jobs' slots become free: at most the first `limit`, ascending."""
    if not ages:
        return [[]]
    sampled, weight = _sample(ages)
    survival, survival_now = estimates.survival, [estimates.survival(age) for age in sampled]
    targets = _release_targets(len(ages), min(len(ages), limit))
    last_target = targets[-1][-1]
    hazards: list[float] = []
    for horizon in HORIZONS:
        hazards.append(
            weight * sum([log(now / survival(age + horizon)) for age, now in zip(sampled, survival_now, strict=True)])
        )
        if hazards[-1] >= last_target:
            break  # no scenario looks further ahead
    return [_release_times(hazards, each) for each in targets]


def _sample(ages: Sequence[float]) -> tuple[list[float], float]:
    """Return some of the ages, and how many each of them stands for."""
    interval = max(1.0, len(ages) / MAX_SAMPLED_AGES)
    ordered = sorted(ages)
    sampled = [ordered[int(index * interval)] for index in range(int(len(ages) / interval))]
    return sampled, len(ages) / max(1, len(sampled))


def _release_targets(busy: int, count: int) -> list[list[float]]:
    """Return for each scenario the expected number of releases at which each of the first slots becomes free.

    Each further slot follows after its mean time.
    """
    steps = [busy / max(1, busy - position) for position in range(1, count)]
    return [list(accumulate(steps, initial=first)) for first in FIRST_RELEASE_HAZARDS]


def _release_times(hazards: Sequence[float], targets: Sequence[float]) -> list[float]:
    """Return when slots become free, linear between two horizons.

    Args:
        hazards: expected number of releases up to each of `HORIZONS`, or up to the first ones that are enough.
        targets: expected number of releases at which each slot becomes free, ascending.
    """
    seconds: list[float] = []
    for (low, high), (begin, end) in zip(pairwise(hazards), pairwise(HORIZONS), strict=False):
        expected, width = high - low, end - begin
        within = targets[len(seconds) : bisect_right(targets, high)]
        seconds += [begin + (target - low) / expected * width for target in within]
    return seconds + [HORIZONS[-1]] * (len(targets) - len(seconds))
