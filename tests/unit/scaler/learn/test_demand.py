"""What each fleet size's marginal worker has been worth to recent demand."""

import json
from collections.abc import Iterable

import pytest

from scaler.learn.counterfactual_fleets import DemandSample
from scaler.learn.demand import Demand, Prices
from scaler.learn.marginal_worker import MAX_MISS_COST_BOOTS

BOOT_SECONDS = 90.0
PRICES = Prices(launch_seconds=BOOT_SECONDS, boot_seconds=BOOT_SECONDS, wait_weight=1.0)
BREAK_EVEN_SECONDS = 180.0
"""A launch, and the waiting of a single job that returns and needs a boot."""
JOB_SECONDS = 600.0


def _sample(
    now: float,
    *,
    jobs: int,
    running: int,
    ended: int,
    ready: int,
    booting: int = 0,
    slots: int = 1,
    service_seconds: float = JOB_SECONDS,
    served: int = 0,
) -> DemandSample:
    return DemandSample(now, jobs, running, ended, served, ready, booting, slots, service_seconds)


def _learned(
    jobs_at: Iterable[tuple[float, int]], *, ready: int = 10, slots: int = 1, service_seconds: float = JOB_SECONDS
) -> Demand:
    """Learn from (second, number of jobs). A job runs if there is a slot for it; jobs that are gone have ended."""
    demand, ended, before = Demand(), 0, 0
    for now, jobs in jobs_at:
        ended, before = ended + max(0, before - jobs), jobs
        running = min(jobs, ready * slots)
        sample = _sample(
            now,
            jobs=jobs,
            running=running,
            ended=ended,
            ready=ready,
            slots=slots,
            service_seconds=service_seconds,
        )
        demand.observe(sample, PRICES)
    return demand


def _gaps(length: float, times: int, jobs: int = 1) -> list[tuple[float, int]]:
    """Demand of `JOB_SECONDS`, again and again, with idle gaps of this length between."""
    jobs_at = []
    now = 0.0
    for _ in range(times):
        jobs_at += [(now, jobs), (now + JOB_SECONDS, 0)]
        now += JOB_SECONDS + length
    return [*jobs_at, (now, jobs)]


def test_an_idle_gap_starts_when_demand_falls_below_the_fleet_size() -> None:
    demand = _learned([(0, 3), (10, 1), (70, 1)])
    assert demand.idle_gap_seconds(1) == 0
    assert demand.idle_gap_seconds(3) == 60
    assert demand.idle_gap_seconds(4) == 70


def test_a_worker_is_unused_only_if_demand_needs_none_of_its_slots() -> None:
    demand = _learned([(0, 9), (10, 4), (70, 4)], slots=4, service_seconds=1.0)
    assert demand.idle_gap_seconds(1) == 0
    assert demand.idle_gap_seconds(3) == 60
    assert demand.idle_gap_seconds(4) == 70


@pytest.mark.parametrize("elsewhere", [False, True])
def test_each_job_ends_the_first_workers_idle_gap_unless_it_ran_elsewhere(elsewhere: bool) -> None:
    """Also one that arrives and ends between two samples: without any job at a sample, its end tells of it."""
    demand = Demand()
    for second in range(61):
        ended = int(second >= 30)
        served = int(second == 30 and not elsewhere)
        demand.observe(
            _sample(second, jobs=0, running=0, ended=ended, served=served, ready=1, service_seconds=0.01), PRICES
        )
    assert demand.idle_gap_seconds(1) == (60 if elsewhere else 29)
    assert demand.idle_gap_seconds(2) == 60


def test_a_short_job_that_waits_for_its_worker_is_a_miss_of_one_boot() -> None:
    """A fleet with a worker would have finished it at once. That worker's gap ends all the same."""
    demand = Demand()
    for second in range(201):
        waits = 100 <= second < 190
        demand.observe(
            _sample(second, jobs=int(waits), running=0, ended=int(second >= 190), ready=0, service_seconds=0.01), PRICES
        )
    assert demand.idle_gap_seconds(1) == 10
    assert demand.miss_cost_seconds(1) == pytest.approx(BOOT_SECONDS, rel=0.05)


def test_short_gaps_raise_the_hold_factor_so_that_they_are_bridged() -> None:
    assert _learned(_gaps(60, 30)).hold_factor(1) * BREAK_EVEN_SECONDS > 60


def test_long_gaps_lower_the_hold_factor_to_almost_nothing() -> None:
    assert _learned(_gaps(3600, 100)).hold_factor(1) * BREAK_EVEN_SECONDS < 10


def test_each_fleet_size_learns_from_its_own_gaps() -> None:
    jobs_at: list[tuple[float, int]] = []
    for cycle in range(70):
        start = cycle * 7200.0
        jobs_at += [(start, 8), (start + 600, 2)]
        for number in range(60):
            at = start + 600 + number * 110
            jobs_at += [(at, 2), (at + 60, 0), (at + 109, 2)]
    demand = _learned(jobs_at)
    assert demand.hold_factor(2) * BREAK_EVEN_SECONDS > 49
    assert demand.hold_factor(8) * BREAK_EVEN_SECONDS < 20


def test_the_hold_factor_starts_at_the_break_even() -> None:
    assert _learned([(0, 1), (1, 1)]).hold_factor(1) == 1.0


def test_missing_the_worker_of_a_burst_costs_the_waiting_of_many_jobs() -> None:
    """Fifty jobs of a second come every ten minutes. The first worker saves more than the bound of the miss cost."""
    jobs_at = [(600.0 * cycle + second, max(0, 50 - second)) for cycle in range(20) for second in range(60)]
    demand = _learned(jobs_at, ready=1, service_seconds=1.0)
    assert demand.miss_cost_seconds(1) == MAX_MISS_COST_BOOTS * BOOT_SECONDS
    assert (
        demand.miss_cost_seconds(1)
        >= demand.miss_cost_seconds(2)
        > demand.miss_cost_seconds(5)
        > demand.miss_cost_seconds(9)
    )


def test_missing_the_worker_of_one_long_job_costs_one_boot() -> None:
    assert _learned(_gaps(600, 30)).miss_cost_seconds(1) == pytest.approx(BOOT_SECONDS, rel=0.5)


def test_idle_gaps_are_those_of_a_fleet_of_that_size() -> None:
    """Three workers serve three jobs at once, in a minute; the first alone would have been busy for three minutes."""
    demand, ended = Demand(), 0
    for second in range(0, 200, 5):
        jobs = 3 if second < 60 else 0
        ended = 3 - jobs
        demand.observe(
            _sample(float(second), jobs=jobs, running=jobs, ended=ended, ready=3, service_seconds=60.0), PRICES
        )
    assert demand.idle_gap_seconds(3) == 135
    assert demand.idle_gap_seconds(1) < 135 / 2


def test_savings_grow_while_another_worker_would_have_saved_waiting() -> None:
    """One worker serves a job every ten seconds. As many arrive, and five always wait."""
    demand = Demand()
    for second in range(40):
        demand.observe(
            _sample(float(second), jobs=6, running=1, ended=second // 10, ready=1, service_seconds=10.0), PRICES
        )
    assert demand.saved_seconds(2) > 30
    assert demand.saved_seconds(2) >= demand.saved_seconds(6)
    assert demand.saved_seconds(20) == 0


def test_net_idle_time_grows_for_a_worker_that_mostly_idles() -> None:
    """The second worker is needed for one second in ten, the first for four."""
    jobs_at = [(float(second), (2, 1, 1, 1, 0, 0, 0, 0, 0, 0)[second % 10]) for second in range(300)]
    demand = _learned(jobs_at, ready=2, service_seconds=1.0)
    assert demand.net_idle_seconds(2) > 100
    assert demand.net_idle_seconds(1) < demand.net_idle_seconds(2) / 2


def test_net_idle_time_is_reset_by_a_launch() -> None:
    demand = _learned([(0, 0), (500, 0)], ready=0)
    assert demand.net_idle_seconds(1) > 400
    demand.observe(_sample(501.0, jobs=1, running=0, ended=0, ready=0, booting=1), PRICES)
    assert demand.net_idle_seconds(1) == 0


def test_a_clock_that_is_set_back_changes_no_gap() -> None:
    demand = _learned([(100, 3), (160, 1)])
    demand.observe(_sample(50.0, jobs=3, running=3, ended=2, ready=10), PRICES)
    demand.observe(_sample(51.0, jobs=3, running=3, ended=2, ready=10), PRICES)
    assert demand.idle_gap_seconds(1) == 0


def test_restored_hold_factors_are_the_same() -> None:
    demand = _learned(_gaps(60, 30))
    again = Demand.load(json.loads(json.dumps(demand.dump())))
    for now in (0.0, 1.0):
        again.observe(_sample(now, jobs=1, running=1, ended=0, ready=1), PRICES)
    assert again.hold_factor(1) == demand.hold_factor(1)
    assert again.miss_cost_seconds(1) == pytest.approx(demand.miss_cost_seconds(1))


@pytest.mark.parametrize(
    "state",
    [{}, {"losses": [1.0], "gaps": 1, "sizes": {}}, {"losses": [1.0] * 10, "gaps": 1, "sizes": {"one": {}}}],
    ids=["empty", "losses", "size"],
)
def test_load_rejects_an_invalid_state(state: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Demand.load(state)
