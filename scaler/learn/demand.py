"""Learns from demand what each worker is worth: for each fleet size, whether its marginal worker pays for itself.

Counterfactual fleets of neighbouring sizes show how much waiting one more worker would have saved, and how much idle
time it would have cost. They also show how long such a worker stays idle, and what jobs wait if it was removed before
demand returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaler.learn.counterfactual_fleets import FLEET_SIZES, CounterfactualFleets, DemandSample, Transition, size_index
from scaler.learn.idle_gaps import IdleGaps
from scaler.learn.marginal_worker import MarginalWorker

MAX_IDLE_BREAK_EVENS = 8.0
"""Idle time is counted up to this many break-evens."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Current prices in instance-seconds.

    Attributes:
        launch_seconds: cost of a launch before the worker serves.
        boot_seconds: time until a launched worker serves.
        wait_weight: price of one job-second of waiting.
    """

    launch_seconds: float
    boot_seconds: float
    wait_weight: float


class Demand:
    """Learns from samples of the demand; the estimates are functions of the fleet's size."""

    def __init__(self) -> None:
        self._last: DemandSample | None = None
        self._prices = Prices(0.0, 0.0, 0.0)
        self._fleets: CounterfactualFleets | None = None
        self._workers = [MarginalWorker() for _ in FLEET_SIZES]
        self._all_gaps = IdleGaps()
        self._hold_factors: list[float | None] = [None] * len(FLEET_SIZES)

    def observe(self, sample: DemandSample, prices: Prices) -> None:
        """Update the estimates with the next sample. The last sample's numbers are assumed to hold until this one."""
        last, self._last, self._prices = self._last, sample, prices
        if last is None or self._fleets is None:
            self._fleets = CounterfactualFleets(sample)
            for index, worker in enumerate(self._workers):
                worker.unused_since = None if _reaches(sample.jobs, index, sample.slots) else sample.now
            return
        if sample.now <= last.now:
            return
        self._choose_tracked(self._fleets, last, sample)
        transition = Transition.between(last, sample)
        self._record_gains(self._fleets, transition, sample.slots)
        self._fleets.advance(transition, sample, prices.boot_seconds)
        self._update_gaps(self._fleets, transition, sample)
        for size in range(last.ready + last.booting + 1, sample.ready + sample.booting + 1):
            # A worker that was just launched starts anew: the decision to launch it had newer grounds.
            self._workers[size_index(size)].net_idle_seconds = 0.0

    def idle_gap_seconds(self, size: int) -> float:
        """Return how long demand has not reached the marginal worker of this fleet size; 0 while it does."""
        since = self._workers[size_index(size)].unused_since
        return 0.0 if since is None or self._last is None else self._last.now - since

    def net_idle_seconds(self, size: int) -> float:
        """Return how long the marginal worker of this fleet size has idled, less the waiting that it saved."""
        return self._workers[size_index(size)].net_idle_seconds

    def saved_seconds(self, size: int) -> float:
        """Return the net instance-seconds that the marginal worker would recently have saved; at most a launch."""
        return self._workers[size_index(size)].saved_seconds

    def miss_cost_seconds(self, size: int) -> float:
        """Return the job-seconds of waiting if demand returns after this fleet's marginal worker is gone."""
        return self._workers[size_index(size)].miss_cost_seconds(self._prices.boot_seconds)

    def hold_factor(self, size: int) -> float:
        """Return how long the marginal worker of this fleet size is kept idle, as a share of the break-even."""
        index = size_index(size)
        known = self._hold_factors[index]
        if known is None:
            known = self._hold_factors[index] = self._workers[index].gaps.cheapest(self._all_gaps)
        return known

    def dump(self) -> dict[str, Any]:
        """Return the gaps and returns that the next leader needs, for JSON."""
        sizes = {str(FLEET_SIZES[index]): each.dump() for index, each in enumerate(self._workers) if each.gaps.count}
        return {"losses": self._all_gaps.losses, "gaps": self._all_gaps.count, "sizes": sizes}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Demand":
        """Restore the output of `dump`.

        Raises:
            KeyError, ValueError, TypeError: `dump` did not write it.
        """
        demand = cls()
        demand._all_gaps = IdleGaps(state["losses"], float(state["gaps"]))
        for size, worker in state["sizes"].items():
            demand._workers[size_index(int(size))] = MarginalWorker.load(worker)
        return demand

    def _choose_tracked(self, fleets: CounterfactualFleets, last: DemandSample, sample: DemandSample) -> None:
        """Track all sizes that demand or the fleet reaches, and drop larger ones that have been idle for long."""
        busiest = max(last.jobs, sample.jobs) // sample.slots + 1
        needed = min(len(FLEET_SIZES), size_index(max(busiest, sample.ready + sample.booting)) + 2)
        count = fleets.tracked
        while count > needed and self._is_long_idle(self._workers[count - 1]):
            count -= 1
        fleets.track(max(needed, count))

    def _is_long_idle(self, worker: MarginalWorker) -> bool:
        max_idle_seconds = MAX_IDLE_BREAK_EVENS * self._break_even_seconds(worker)
        is_unused = worker.unused_since is not None and not worker.is_returning
        return is_unused and worker.net_idle_seconds >= max_idle_seconds

    def _break_even_seconds(self, worker: MarginalWorker) -> float:
        """Return the idle time that costs as much as removing the worker and needing it again."""
        prices = self._prices
        return prices.launch_seconds + prices.wait_weight * worker.miss_cost_seconds(prices.boot_seconds)

    def _record_gains(self, fleets: CounterfactualFleets, transition: Transition, slots: int) -> None:
        """Record for each size what its marginal worker saved or idled, compared with the next smaller fleet."""
        prices = self._prices
        smaller_size, smaller_waiting, smaller_idle = 0, fleets.unserved, 0.0
        for size, jobs, worker in zip(FLEET_SIZES, fleets.jobs, self._workers, strict=False):
            capacity = size * slots
            waiting, idle = (jobs - capacity, 0.0) if jobs > capacity else (0.0, (capacity - jobs) / slots)
            saved = prices.wait_weight * max(0.0, smaller_waiting - waiting) - max(0.0, idle - smaller_idle)
            gain = saved / (size - smaller_size) * transition.elapsed_seconds
            worker.record_gain(gain, prices.launch_seconds, MAX_IDLE_BREAK_EVENS * self._break_even_seconds(worker))
            smaller_size, smaller_waiting, smaller_idle = size, waiting, idle

    def _update_gaps(self, fleets: CounterfactualFleets, transition: Transition, sample: DemandSample) -> None:
        """Start and end idle gaps, and track what the absence of each marginal worker would cost after a gap."""
        boot_seconds, slots = self._prices.boot_seconds, sample.slots
        # Each job needs a worker, even one that a fleet would have finished between two samples.
        least_jobs = 1.0 if sample.jobs or sample.served else 0.0
        for index, remaining in enumerate(fleets.jobs):
            worker, capacity = self._workers[index], FLEET_SIZES[index] * slots
            jobs = max(remaining, least_jobs)
            worker.track_absence(transition, sample.now, jobs, capacity, slots, boot_seconds)
            is_reached = _reaches(jobs, index, slots)
            if not is_reached and worker.unused_since is None:
                worker.unused_since = sample.now
            elif is_reached and worker.unused_since is not None:
                gap = (sample.now - worker.unused_since) / self._break_even_seconds(worker)
                worker.gaps.add(gap)
                self._all_gaps.add(gap)
                self._hold_factors[index] = None
                worker.on_demand_return(sample.now, jobs, capacity, slots)


def _reaches(jobs: float, index: int, slots: int) -> bool:
    """Whether this many jobs need the marginal worker of the fleet of this size; fractions of jobs are rounded."""
    return jobs >= (FLEET_SIZES[index] - 1) * slots + 0.5
