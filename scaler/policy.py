"""How many workers there should be. Pure: numbers in, a decision with its numbers and its reason out.

All costs are in instance-seconds; `w` says how many of them a job-second of waiting is worth. Launch while the waiting
that is saved is worth more than the launch; keep an idle worker for as long as demand may return to it, and no longer
than its patience. `docs/scaling.md` works an example by hand.
"""

import heapq
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log

RECHECK_SECONDS = 5.0
SCENARIOS = (0.18, 0.69, 1.79)
"""When the first busy slot comes free, in expected releases: early, typical, late (the sixths of an exponential)."""
HORIZONS = (0.0, *(2.0 * 1.5**power for power in range(27)))
"""Seconds at which it is looked how many running jobs have ended; up to 21 hours."""
DELAYS = (5.0, 15.0)
GROUPS = 200
"""So many jobs, or groups of equally many, are scheduled one by one."""
SAMPLED_AGES = 64


@dataclass(frozen=True, slots=True)
class ScheduledMinimum:
    """At least so many workers on these weekdays (0 is Monday) from one minute of the day to another, in UTC."""

    workers: int
    from_minute: int
    to_minute: int
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows and wants.

    Attributes:
        min_workers, max_workers: bounds; the upper one holds whatever else is said, booting and draining included.
        slots_per_worker: jobs that one worker runs at a time.
        wait_weight: w, instance-seconds that a job-second of waiting is worth. Higher waits less and pays more.
        min_billed_seconds: what an instance costs at least: 60 on EC2, nothing on this machine.
        idle_seconds: an idle worker is kept at least so long.
        hourly_budget: the most that the fleet may cost an hour, in the currency of `hourly_price`; None: unbounded.
        hourly_price: of one instance.
        warm: minimum by schedule.
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
        """What a launch costs before it works."""
        return max(self.min_billed_seconds, boot_seconds)

    def max_workers_allowed(self) -> int:
        """The most workers that may live."""
        if self.hourly_budget is None or self.hourly_price <= 0:
            return self.max_workers
        return min(self.max_workers, int(self.hourly_budget / self.hourly_price))

    def min_workers_required(self, now: float) -> int:
        """The fewest workers that may serve at that epoch second."""
        minute, weekday = int(now // 60) % 1440, (int(now // 86_400) + 3) % 7
        warm = [
            floor.workers
            for floor in self.min_workers_schedule
            if weekday in floor.weekdays and floor.from_minute <= minute < floor.to_minute
        ]
        return min(max([self.min_workers, *warm]), self.max_workers_allowed())


@dataclass(frozen=True, slots=True)
class Estimates:
    """What was learned, as far as this decision needs it.

    Attributes:
        service_seconds: mean of the jobs that wait.
        boot_seconds: median, from launch to the first job.
        surviving: the share of all jobs that outlasts an age in seconds; above 0.
        patience: by fleet size, the share of the break-even for which its last worker is kept idle.
        return_seconds: by fleet size, job-seconds of waiting that it costs when demand comes back to its last worker
            and that has gone.
        gap_seconds: by fleet size, for how long demand has not reached its last worker.
        idle_seconds: by fleet size, for how long its last worker has idled, net of the waiting that it saved.
        saved_seconds: by fleet size, what its last worker would just have saved, up to the price of a launch.
    """

    service_seconds: float
    boot_seconds: float
    survival: Callable[[float], float]
    hold_factor: Callable[[int], float]
    miss_cost_seconds: Callable[[int], float]
    idle_gap_seconds: Callable[[int], float]
    net_idle_seconds: Callable[[int], float]
    saved_seconds: Callable[[int], float]


@dataclass(frozen=True, slots=True)
class Observation:
    """What is.

    Attributes:
        now: epoch second.
        queued: jobs that wait, by function.
        oldest_seconds: how long the first in line has waited.
        running_ages: seconds for which each running job has run.
        idle, busy, draining: registered workers by state.
        free_slots: of registered workers that do not drain.
        booting_ages: seconds since the launch of each worker that has not registered.
        lessons: what was learned.
        stale: some number is missing or old: then nothing is let go.
    """

    now: float
    queued: Mapping[str, int]
    oldest_seconds: float
    running_ages: Sequence[float]
    idle: int
    busy: int
    draining: int
    free_slots: int
    booting_ages: Sequence[float]
    estimates: Estimates
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why, in a line that can be checked by hand.

    Attributes:
        launch: workers to launch.
        drain: idle workers to let go.
        recheck_seconds: unless something changes, the same would be decided until then.
        numbers: what the reason was made from.
    """

    launch: int
    drain: int
    reason: str
    recheck_seconds: float = RECHECK_SECONDS
    numbers: Mapping[str, float] = field(default_factory=dict)


def decide(observation: Observation, limits: Limits) -> Decision:
    """The decision for one observation.

    Draining workers take no new jobs, so they are no capacity; but they count against the maximum until they have gone.
    """
    seen = observation
    serving = seen.idle + seen.busy + len(seen.booting_ages)
    room = limits.max_workers_allowed() - serving - seen.draining
    if room < 0:
        return _shrink(seen, limits, -room)
    backlog = _Backlog.of(seen, limits)
    waiting = max(0, sum(seen.queued.values()) - seen.free_slots)
    wanted, why = backlog.worth_launching(min(room, waiting)) if waiting else (0, "")
    if waiting:
        wanted, why = _add_proven(seen, limits, wanted, why, min(room, waiting))
    least = limits.min_workers_required(seen.now)
    if serving + wanted < least:
        wanted, why = least - serving, f"{least} is the least"
    if wanted > 0 and room > 0:
        return _decision(seen, limits, f"LAUNCH {min(wanted, room)}: {why}", launch=min(wanted, room))
    if seen.stale:
        return _decision(seen, limits, f"KEEP {serving}: some numbers are stale")
    if waiting or serving <= least:
        return _decision(seen, limits, f"KEEP {serving}: {why or 'all are needed'}")
    return _let_go(seen, limits, serving, least)


def _shrink(seen: Observation, limits: Limits, excess: int) -> Decision:
    drain = min(excess, seen.idle)
    return _decision(
        seen, limits, f"DRAIN {drain}: {excess} above the maximum of {limits.max_workers_allowed()}", drain=drain
    )


def _add_proven(seen: Observation, limits: Limits, wanted: int, why: str, most: int) -> tuple[int, str]:
    """Sizes of the fleet that have just shown, on recent demand, that they are worth a launch."""
    lessons = seen.estimates
    launch_seconds = limits.launch_seconds(lessons.boot_seconds)
    serving, proven = seen.idle + seen.busy + len(seen.booting_ages), wanted
    while proven < most and lessons.saved_seconds(serving + proven + 1) >= launch_seconds:
        proven += 1
    if proven == wanted:
        return wanted, why
    saved_seconds = lessons.saved_seconds(serving + proven)
    return proven, (
        f"worker {serving + proven} would just have saved {saved_seconds:.0f}s, w * waiting less its idling,"
        f" >= launch {launch_seconds:.0f}s"
    )


def _let_go(seen: Observation, limits: Limits, serving: int, least: int) -> Decision:
    """Looks at the fleet's last workers, one by one. Those that boot are the last of all, and wait to be judged."""
    lessons, size = seen.estimates, serving
    while serving - size < seen.idle and size > least and _is_unneeded(lessons, limits, size):
        size -= 1
    drain = serving - size
    level = size + 1 if drain else size
    launch_seconds = limits.launch_seconds(lessons.boot_seconds)
    why = (
        f"level {level} unused for {lessons.idle_gap_seconds(level):.0f}s, idle {lessons.net_idle_seconds(level):.0f}s net; "
        f"patience {lessons.hold_factor(level):g} of break-even {_break_even_seconds(lessons, limits, level):.0f}s = "
        f"launch {launch_seconds:.0f}s + w * {lessons.miss_cost_seconds(level):.0f} job-seconds missed; "
        f"at least {limits.min_idle_seconds:g}s"
    )
    return _decision(seen, limits, f"DRAIN {drain}: {why}" if drain else f"KEEP {serving}: {why}", drain=drain)


def _is_unneeded(lessons: Estimates, limits: Limits, size: int) -> bool:
    """Whether the last worker of such a fleet is to go: after one long gap, or many short ones that do not pay."""
    gap_seconds = lessons.idle_gap_seconds(size)
    if gap_seconds <= 0 or gap_seconds < limits.min_idle_seconds:
        return False
    break_even_seconds = _break_even_seconds(lessons, limits, size)
    patience_seconds = lessons.hold_factor(size) * break_even_seconds
    return gap_seconds >= patience_seconds or lessons.net_idle_seconds(size) >= break_even_seconds


def _break_even_seconds(lessons: Estimates, limits: Limits, size: int) -> float:
    """Idling for so long costs as much as the fleet's last worker gone that is needed again."""
    launch_seconds = limits.launch_seconds(lessons.boot_seconds)
    return launch_seconds + limits.wait_weight * lessons.miss_cost_seconds(size)


def _decision(seen: Observation, limits: Limits, reason: str, *, launch: int = 0, drain: int = 0) -> Decision:
    numbers = {
        "queued": sum(seen.queued.values()),
        "oldest_seconds": round(seen.oldest_seconds, 1),
        "idle": seen.idle,
        "busy": seen.busy,
        "draining": seen.draining,
        "booting": len(seen.booting_ages),
        "service_seconds": round(seen.estimates.service_seconds, 3),
        "w": round(limits.wait_weight, 3),
        "min": limits.min_workers_required(seen.now),
        "max": limits.max_workers_allowed(),
    }
    facts = " ".join(f"{name}={value:g}" for name, value in numbers.items())
    return Decision(launch, drain, f"{reason}; {facts}", numbers=numbers)


@dataclass(frozen=True, slots=True)
class _Backlog:
    """The queue laid on the slots that come free, and on those of new workers.

    Attributes:
        free_at: for each scenario, the seconds at which slots of workers that are here or coming are free, rising.
    """

    queued: int
    free_at: Sequence[Sequence[float]]
    slots: int
    service_seconds: float
    boot_seconds: float
    launch_seconds: float
    wait_weight: float

    @classmethod
    def of(cls, seen: Observation, limits: Limits) -> "_Backlog":
        lessons, slots = seen.estimates, limits.slots_per_worker
        # One that is late may come at any moment, or never: it is expected in a tenth of a boot.
        etas = [max(lessons.boot_seconds / 10, lessons.boot_seconds - age) for age in seen.booting_ages]
        sure = [0.0] * seen.free_slots + [eta for eta in etas for _ in range(slots)]
        queued = sum(seen.queued.values())
        busy = _releases(seen.running_ages, lessons, queued) if queued else ((),)
        free_at = [sorted([*sure, *releases]) for releases in busy]
        boot_seconds, launch_seconds = lessons.boot_seconds, limits.launch_seconds(lessons.boot_seconds)
        return cls(queued, free_at, slots, lessons.service_seconds, boot_seconds, launch_seconds, limits.wait_weight)

    def worth_launching(self, most: int) -> tuple[int, str]:
        """How many launches cost least, waiting and all, and why; none where they are better decided later."""
        launch_seconds = self.launch_seconds
        without = self._waiting(0, self.free_at, 0.0)
        number, least, step = 0, self.wait_weight * without, 1
        while step:
            # What one worker more saves falls with their number, so the best is galloped to.
            more = min(number + step, most)
            cost = self.wait_weight * self._waiting(more, self.free_at, 0.0) + launch_seconds * more
            if more > number and cost < least:
                number, least, step = more, cost, step * 2
            else:
                step //= 2
        after = (least - launch_seconds * number) / self.wait_weight
        saved = self.wait_weight * (without - after)
        figures = (
            f"wait {without:.0f} -> {after:.0f} job-seconds saves {saved:.0f}s, cost {launch_seconds * number:.0f}s"
        )
        if not number:
            return 0, f"no launch saves its price of {launch_seconds:.0f}s in waiting (wait {without:.0f} job-seconds)"
        for delay in DELAYS if number < SAMPLED_AGES else ():
            if self._delayed(number, delay, launch_seconds) < least - 1e-9:
                return 0, f"a slot may come free within {delay:.0f}s, cheaper than to launch {number} now ({figures})"
        return number, figures

    def _delayed(self, number: int, delay: float, launch_seconds: float) -> float:
        """The cost of launching so many only after a delay, and only as many as no slot has come free for by then."""
        cost = 0.0
        for free in self.free_at:
            freed = sum(0 < second <= delay for second in free)
            launched = max(0, number - freed)
            cost += self.wait_weight * self._waiting(launched, (free,), delay) + launch_seconds * launched
        return cost / len(self.free_at)

    def _waiting(self, number: int, free_at: Sequence[Sequence[float]], delay: float) -> float:
        """Job-seconds that the queue waits from now on with so many launched after a delay, the scenarios' mean."""
        new, ready = number * self.slots, self.boot_seconds + delay
        return sum(self._scheduled(free, new, ready) for free in free_at) / len(free_at)

    def _scheduled(self, free: Sequence[float], new: int, ready: float) -> float:
        """Lays the queue on slots that come free at these seconds, and on so many new ones that do when ready."""
        never = 20 * (self.boot_seconds + self.launch_seconds / self.wait_weight)
        number = len(free) + new
        if not number:
            return self.queued * never
        # Groups of jobs go to groups of equally many slots; a slot later than as many others as there are jobs is idle.
        jobs = min(self.queued, GROUPS)
        group = self.queued / jobs
        groups = max(1, round(number / group))
        seconds = self.service_seconds * group * groups / number
        earlier = bisect_right(free, ready)
        slots = []
        for index in range(min(groups, jobs)):
            position = int((index + 0.5) * number / groups)
            if position < earlier:
                slots.append(free[position])
            else:
                slots.append(ready if position < earlier + new else free[position - new])
        waiting = 0.0
        for _ in range(jobs):
            second = slots[0]
            waiting += min(second, never)
            heapq.heapreplace(slots, second + seconds)
        return waiting * group


def _releases(ages: Sequence[float], lessons: Estimates, most: int) -> list[list[float]]:
    """For each scenario, when the running jobs' slots come free, as far as the first `most`, rising."""
    if not ages:
        return [[]]
    every = max(1.0, len(ages) / SAMPLED_AGES)
    sampled = sorted(ages)
    sampled = [sampled[int(index * every)] for index in range(int(len(ages) / every))]
    weight = len(ages) / len(sampled)
    alive = [lessons.survival(age) for age in sampled]
    hazards = [
        weight * sum(log(now / lessons.survival(age + horizon)) for age, now in zip(sampled, alive, strict=True))
        for horizon in HORIZONS
    ]
    return [_arrivals(hazards, first, len(ages), min(len(ages), most)) for first in SCENARIOS]


def _arrivals(hazards: Sequence[float], first: float, busy: int, number: int) -> list[float]:
    """When so many of the busy slots come free, the first at such a hazard, each following one after its mean."""
    seconds, index, target = [], 1, first
    for position in range(1, number + 1):
        while index < len(hazards) and hazards[index] < target:
            index += 1
        if index == len(hazards):
            seconds.append(HORIZONS[-1])
            continue
        low, high = hazards[index - 1], hazards[index]
        share = (target - low) / (high - low)
        seconds.append(HORIZONS[index - 1] + share * (HORIZONS[index] - HORIZONS[index - 1]))
        target += busy / max(1, busy - position)
    return seconds
