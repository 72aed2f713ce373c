"""Which sizes of the fleet demand has lately been worth."""

import json
from collections.abc import Iterable

import pytest

from scaler.learn.counterfactual_fleets import DemandSample
from scaler.learn.demand import Demand, Prices

PRICES = Prices(launch_seconds=90.0, boot_seconds=90.0, wait_weight=1.0)
BREAK_EVEN_SECONDS = 180.0
"""Where a single job waits for a boot when demand comes back."""


def _fed(
    moments: Iterable[tuple[float, int]], *, ready: int = 10, slots: int = 1, service_seconds: float = 600.0
) -> Demand:
    """(second, jobs), all of which run as far as the workers' slots reach; fewer than before have ended."""
    demand, ended, before = Demand(), 0, 0
    for now, jobs in moments:
        ended, before = ended + max(0, before - jobs), jobs
        demand.observe(
            DemandSample(now, jobs, min(jobs, ready * slots), ended, ready, 0, slots, service_seconds), PRICES
        )
    return demand


def _gaps(length: float, times: int, jobs: int = 1) -> list[tuple[float, int]]:
    """Jobs of 600 s, and gaps of such a length between."""
    moments = []
    now = 0.0
    for _ in range(times):
        moments += [(now, jobs), (now + 600, 0)]
        now += 600 + length
    return [*moments, (now, jobs)]


def test_a_gap_counts_from_when_demand_fell_below_the_size() -> None:
    demand = _fed([(0, 3), (10, 1), (70, 1)])
    assert demand.idle_gap_seconds(1) == 0
    assert demand.idle_gap_seconds(3) == 60
    assert demand.idle_gap_seconds(4) == 70


def test_a_worker_with_slots_is_one_level() -> None:
    demand = _fed([(0, 9), (10, 4), (70, 4)], slots=4, service_seconds=1.0)
    assert demand.idle_gap_seconds(1) == 0
    assert demand.idle_gap_seconds(3) == 60
    assert demand.idle_gap_seconds(4) == 70


def test_short_gaps_that_are_always_bridged_teach_patience_beyond_them() -> None:
    assert _fed(_gaps(60, 30)).hold_factor(1) * BREAK_EVEN_SECONDS > 60


def test_long_gaps_that_are_never_worth_bridging_teach_to_let_go_at_once() -> None:
    assert _fed(_gaps(3600, 100)).hold_factor(1) * BREAK_EVEN_SECONDS < 10


def test_each_level_has_its_own_gaps() -> None:
    moments: list[tuple[float, int]] = []
    for cycle in range(70):
        start = cycle * 7200.0
        moments += [(start, 8), (start + 600, 2)]
        for number in range(60):
            at = start + 600 + number * 110
            moments += [(at, 2), (at + 60, 0), (at + 109, 2)]
    demand = _fed(moments)
    assert demand.hold_factor(2) * BREAK_EVEN_SECONDS > 49
    assert demand.hold_factor(8) * BREAK_EVEN_SECONDS < 20


def test_patience_starts_from_the_break_even() -> None:
    assert _fed([(0, 1), (1, 1)]).hold_factor(1) == 1.0


def test_one_that_lacks_when_a_crowd_comes_back_costs_the_crowds_waiting() -> None:
    """Fifty jobs of a second come every ten minutes. The first worker would have saved more than five boots."""
    moments = [(600.0 * cycle + second, max(0, 50 - second)) for cycle in range(20) for second in range(60)]
    demand = _fed(moments, ready=1, service_seconds=1.0)
    assert demand.miss_cost_seconds(1) == 5 * 90.0
    assert (
        demand.miss_cost_seconds(1)
        >= demand.miss_cost_seconds(2)
        > demand.miss_cost_seconds(5)
        > demand.miss_cost_seconds(9)
    )


def test_one_that_lacks_when_a_long_job_comes_back_costs_one_boot_at_most() -> None:
    assert _fed(_gaps(600, 30)).miss_cost_seconds(1) == pytest.approx(90.0, rel=0.5)


def test_a_gap_is_that_of_a_fleet_of_this_size() -> None:
    """Three workers serve three jobs at once, in a minute; the first alone would have been busy for three minutes."""
    demand, ended = Demand(), 0
    for second in range(0, 200, 5):
        jobs = 3 if second < 60 else 0
        ended = 3 - jobs
        demand.observe(DemandSample(float(second), jobs, jobs, ended, 3, 0, 1, 60.0), PRICES)
    assert demand.idle_gap_seconds(3) == 135
    assert demand.idle_gap_seconds(1) < 135 / 2


def test_a_worker_that_would_have_saved_waiting_is_proven() -> None:
    """One worker serves a job each ten seconds; as many come, and five always wait."""
    demand = Demand()
    for second in range(40):
        demand.observe(DemandSample(float(second), 6, 1, second // 10, 1, 0, 1, 10.0), PRICES)
    assert demand.saved_seconds(2) > 30
    assert demand.saved_seconds(2) >= demand.saved_seconds(6)
    assert demand.saved_seconds(20) == 0


def test_a_worker_that_mostly_idles_is_booked_as_idle() -> None:
    """The second worker is needed for one second in ten, the first for four."""
    moments = [(float(second), (2, 1, 1, 1, 0, 0, 0, 0, 0, 0)[second % 10]) for second in range(300)]
    demand = _fed(moments, ready=2, service_seconds=1.0)
    assert demand.net_idle_seconds(2) > 100
    assert demand.net_idle_seconds(1) < demand.net_idle_seconds(2) / 2


def test_a_worker_just_launched_starts_anew() -> None:
    demand = _fed([(0, 0), (500, 0)], ready=0)
    assert demand.net_idle_seconds(1) > 400
    demand.observe(DemandSample(501.0, 1, 0, 0, 0, 1, 1, 600.0), PRICES)
    assert demand.net_idle_seconds(1) == 0


def test_a_clock_that_goes_back_changes_nothing() -> None:
    demand = _fed([(100, 3), (160, 1)])
    demand.observe(DemandSample(50.0, 3, 3, 2, 10, 0, 1, 600.0), PRICES)
    demand.observe(DemandSample(51.0, 3, 3, 2, 10, 0, 1, 600.0), PRICES)
    assert demand.idle_gap_seconds(1) == 0


def test_patience_survives_being_written_down() -> None:
    demand = _fed(_gaps(60, 30))
    again = Demand.load(json.loads(json.dumps(demand.dump())))
    for now in (0.0, 1.0):
        again.observe(DemandSample(now, 1, 1, 0, 1, 0, 1, 600.0), PRICES)
    assert again.hold_factor(1) == demand.hold_factor(1)
    assert again.miss_cost_seconds(1) == pytest.approx(demand.miss_cost_seconds(1))


@pytest.mark.parametrize(
    "state",
    [{}, {"losses": [1.0], "gaps": 1, "sizes": {}}, {"losses": [1.0] * 10, "gaps": 1, "sizes": {"one": {}}}],
    ids=["empty", "losses", "size"],
)
def test_what_it_did_not_write_is_refused(state: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Demand.load(state)
