"""Figures of a simulated run: its cost and waits, and C0, the least cost at which no job waits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scaler.simulation.engine import SimulatedRun
from scaler.simulation.system import MINIMUM_PAID_SECONDS
from scaler.simulation.trace import TracedJob


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """The figures of one policy on one trace: the fields of the JSON line.

    Attributes:
        paid_s: billed instance-seconds, boots included.
        cost_per_work: paid ÷ the instance-seconds that the jobs need if every slot is always full.
        cost_per_c0: paid ÷ C0.
        slo_missed: share of jobs that waited longer than the wait target.
        peak: largest number of instances alive at once.
        objective: (paid + w · Σ wait) ÷ C0.
    """

    policy: str
    paid_s: float
    cost_per_work: float
    cost_per_c0: float
    wait_mean_s: float
    wait_p50_s: float
    wait_p95_s: float
    wait_p99_s: float
    slo_missed: float
    peak: int
    launches: int
    objective: float


def measure(
    policy: str,
    run: SimulatedRun,
    jobs: Sequence[TracedJob],
    *,
    c0_seconds: float,
    slots: int,
    w: float,
    target_seconds: float,
) -> PolicyResult:
    """Return the figures of a run."""
    waits = sorted(run.waits)
    work_seconds = sum(job.service_seconds for job in jobs) / slots
    return PolicyResult(
        policy=policy,
        paid_s=round(run.paid_seconds, 3),
        cost_per_work=_ratio(run.paid_seconds, work_seconds),
        cost_per_c0=_ratio(run.paid_seconds, c0_seconds),
        wait_mean_s=round(sum(waits) / len(waits), 3),
        wait_p50_s=_quantile(waits, 0.5),
        wait_p95_s=_quantile(waits, 0.95),
        wait_p99_s=_quantile(waits, 0.99),
        slo_missed=round(sum(wait > target_seconds for wait in waits) / len(waits), 5),
        peak=run.peak,
        launches=run.launches,
        objective=_ratio(run.paid_seconds + w * sum(waits), c0_seconds),
    )


def clairvoyant_cost_seconds(jobs: Sequence[TracedJob], *, slots: int, boot_seconds: float) -> float:
    """Return C0: the least cost at which no job waits, if all arrivals are known in advance.

    Level n of the demand is worked by the n-th instance. Between two periods of work an instance is either kept or
    terminated and launched again in time, whichever is cheaper. Each instance boots at least once.
    """
    launch_seconds = max(MINIMUM_PAID_SECONDS, boot_seconds)
    busy_since: list[float] = []
    idle_since: list[float] = []
    paid_seconds, running = 0.0, 0
    for second, change in _changes(jobs):
        before, running = running, running + change
        level = math.ceil(max(before, running) / slots) - 1
        if change > 0 and before % slots == 0:
            if level == len(busy_since):
                busy_since.append(second)
                idle_since.append(-math.inf)
            paid_seconds += min(second - idle_since[level], launch_seconds)
            busy_since[level] = second
        elif change < 0 and running % slots == 0:
            paid_seconds += second - busy_since[level]
            idle_since[level] = second
    return paid_seconds


def demand_curve(jobs: Sequence[TracedJob], *, slots: int) -> list[tuple[float, int]]:
    """Return (second, instances that would be busy if no job ever waited) at each change."""
    points, running = [], 0
    for second, change in _changes(jobs):
        running += change
        points.append((second, math.ceil(running / slots)))
    return points


def _changes(jobs: Sequence[TracedJob]) -> list[tuple[float, int]]:
    """(second, +1) for each start and (second, -1) for each end if no job ever waited; ends come first in a second."""
    working = [job for job in jobs if job.service_seconds > 0]
    begins = [(job.submit_seconds, 1) for job in working]
    ends = [(job.submit_seconds + job.service_seconds, -1) for job in working]
    return sorted(begins + ends)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 5) if whole else 0.0
