"""Our policy with wrong estimates: every job runs soon enough, the fleet does not oscillate, all instances end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from scaler.simulation.engine import SimulatedRun, Simulator
from scaler.simulation.our_policy import WorkManagerPolicy, limits_for_scenario
from scaler.simulation.system import Scenario
from scaler.simulation.trace import TracedJob
from tests.acceptance.simulate.arrival_patterns import bursty, mixed, poisson

HOUR = 3600.0
SCALE_IN_SECONDS = 900.0
"""The last worker ends within this time after the last job at w = 1: a boot, the longest hold and some ticks."""


@dataclass(frozen=True)
class Case:
    """One scenario.

    Attributes:
        churn: maximum number of launches per instance of the peak.
        peer_p99_seconds: 99th percentile of waiting of the peer with the best objective, in the same conditions.
        p99_times_peer: ours is at most this multiple of it. The aim is 1.25.
        service_time_factor: factor on every service time that the policy observes.
    """

    jobs: Callable[[], Sequence[TracedJob]]
    churn: float
    peer_p99_seconds: float
    scenario: Scenario = field(default_factory=Scenario)
    service_time_factor: float = 1.0
    p99_times_peer: float = 1.25


def _steady() -> Sequence[TracedJob]:
    return poisson(1, seconds=2 * HOUR, rate=1.0, service=10.0)


def _bursts() -> Sequence[TracedJob]:
    return bursty(9, seconds=2 * HOUR, every=600, size=40, service=10.0)


def _newcomer() -> Sequence[TracedJob]:
    """A new function whose jobs take 100 times as long as the others."""
    others = poisson(2, seconds=2 * HOUR, rate=1.0, service=3.0)
    return sorted([*others, *(TracedJob(HOUR + number, 300.0, "newcomer") for number in range(100))])


def _stopping() -> Sequence[TracedJob]:
    return [job for job in poisson(3, seconds=HOUR, rate=10.0, service=5.0) if job.submit_seconds < 1800]


def _flood() -> Sequence[TracedJob]:
    return [TracedJob(600.0, 2.0, "flood") for _ in range(100_000)]


def _within(begin: float, end: float) -> Callable[[float], bool]:
    return lambda second: begin <= second < end


IN_THE_MIDDLE = _within(1800.0, 1800.0 + HOUR)
NO_CAPACITY = _within(1800.0, 2400.0)

CASES = {
    "as expected": Case(_steady, 8, 55),
    "service times observed three times too long": Case(_steady, 12, 55, service_time_factor=3.0),
    "service times observed three times too short": Case(_steady, 12, 55, service_time_factor=1 / 3),
    "bursts, service times observed three times too long": Case(_bursts, 8, 139, service_time_factor=3.0),
    "bursts, service times observed three times too short": Case(_bursts, 8, 139, service_time_factor=1 / 3),
    "boots take twice as long for an hour": Case(
        _steady, 8, 55, Scenario(boot_time_factor=lambda second: 2.0 if IN_THE_MIDDLE(second) else 1.0)
    ),
    "a new function takes 100 times as long": Case(_newcomer, 8, 78),
    "no capacity for ten minutes": Case(
        _steady, 8, 55, Scenario(grant_launches=lambda second, wanted: 0 if NO_CAPACITY(second) else wanted)
    ),
    "no capacity when a burst comes": Case(
        _flood, 3, 889, Scenario(grant_launches=lambda second, wanted: 0 if second < 1200 else wanted)
    ),
    "arrivals stop dead": Case(_stopping, 3, 69),
    "100,000 jobs at once": Case(_flood, 3, 289, p99_times_peer=1.1),
    "100,000 jobs at once and room for ten": Case(_flood, 3, 19894, Scenario(max_workers=10)),
    "workers with four slots": Case(_steady, 8, 60, Scenario(slots=4)),
    "short and long jobs in one queue": Case(lambda: mixed(4, hours=2), 8, 64),
    "short and long jobs, workers with eight slots": Case(lambda: mixed(5, hours=2), 12, 32, Scenario(slots=8)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_wrong_estimates_and_bad_conditions_are_survived(case: Case) -> None:
    jobs = case.jobs()
    run = _run(case, jobs)
    assert len(run.waits) == len(jobs)
    assert run.peak <= case.scenario.max_workers
    assert max(alive for _, alive in run.fleet) == run.peak
    assert run.launches <= case.churn * run.peak
    assert sorted(run.waits)[int(0.99 * len(run.waits))] <= case.p99_times_peer * case.peer_p99_seconds
    assert run.never_terminated == 0
    assert run.ended_at <= _last_end(run, jobs) + SCALE_IN_SECONDS


def test_a_wait_target_is_reached_by_adjusting_w() -> None:
    """With a wait target few jobs wait longer than it; with the low w alone, many do."""
    jobs = poisson(6, seconds=6 * HOUR, rate=0.5, service=20.0)
    target_seconds = 5.0
    missed = []
    for given in (None, target_seconds):
        policy = WorkManagerPolicy(limits_for_scenario(Scenario(), 0.25), wait_target_seconds=given)
        run = Simulator(jobs, Scenario()).run(policy)
        later = run.waits[len(run.waits) // 3 :]
        missed.append(sum(wait > target_seconds for wait in later) / len(later))
    assert missed[1] < missed[0] / 2
    assert missed[1] < 0.1


def _run(case: Case, jobs: Sequence[TracedJob]) -> SimulatedRun:
    return Simulator(jobs, case.scenario).run(
        WorkManagerPolicy(limits_for_scenario(case.scenario, 1.0), service_time_factor=case.service_time_factor)
    )


def _last_end(run: SimulatedRun, jobs: Sequence[TracedJob]) -> float:
    """The second at which the last job ends; jobs start in the order of submission."""
    return max(job.submit_seconds + wait + job.service_seconds for job, wait in zip(jobs, run.waits, strict=True))
