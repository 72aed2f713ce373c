"""What is learned of demand: for each size of the fleet, whether its last worker is worth its price.

Seen in the shadows of neighbouring sizes: what one worker more would have saved in waiting and cost in idling, for how
long demand stays away from it, and what it costs that it is missing when demand comes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaler.learn.counterfactual_fleets import FLEET_SIZES, CounterfactualFleets, DemandSample, Transition, size_index
from scaler.learn.marginal_worker import IdleGaps, MarginalWorker

MAX_IDLE_BREAK_EVENS = 8.0
"""In break-evens: idleness beyond this is not counted further."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What things cost now, in instance-seconds.

    Attributes:
        launch_seconds: one launch, before it works.
        boot_seconds: until a launched worker serves.
        wait_weight: one job-second of waiting.
    """

    launch_seconds: float
    boot_seconds: float
    wait_weight: float


class Demand:
    """Learns from samples; answers by the fleet's size."""

    def __init__(self) -> None:
        self._last: DemandSample | None = None
        self._prices = Prices(0.0, 0.0, 0.0)
        self._shadows: CounterfactualFleets | None = None
        self._levels = [MarginalWorker() for _ in FLEET_SIZES]
        self._every = IdleGaps()
        self._patience: list[float | None] = [None] * len(FLEET_SIZES)

    def observe(self, sample: DemandSample, prices: Prices) -> None:
        """Takes the next sample: what was known at the one before is taken to have held until now."""
        last, self._last, self._prices = self._last, sample, prices
        if last is None or self._shadows is None:
            self._shadows = CounterfactualFleets(sample)
            for index, level in enumerate(self._levels):
                level.unused_since = None if _reaches(sample.jobs, index, sample.slots) else sample.now
            return
        if sample.now <= last.now:
            return
        self._follow(self._shadows, last, sample)
        step = Transition.between(last, sample)
        self._weigh(self._shadows, step, sample.slots)
        self._shadows.advance(step, sample, prices.boot_seconds)
        self._look_at_gaps(self._shadows, step, sample)
        for size in range(last.ready + last.booting + 1, sample.ready + sample.booting + 1):
            # Just launched: whatever its idleness was worth, the launch was decided on better grounds.
            self._levels[size_index(size)].net_idle_seconds = 0.0

    def idle_gap_seconds(self, size: int) -> float:
        """For how long demand has not reached the last worker of a fleet of this size; 0 while it does."""
        since = self._levels[size_index(size)].unused_since
        return 0.0 if since is None or self._last is None else self._last.now - since

    def net_idle_seconds(self, size: int) -> float:
        """For how long, net, the last worker of a fleet of this size has idled rather than saved waiting."""
        return self._levels[size_index(size)].net_idle_seconds

    def saved_seconds(self, size: int) -> float:
        """What one worker more would have saved just now, net, in instance-seconds; up to the price of its launch."""
        return self._levels[size_index(size)].saved_seconds

    def miss_cost_seconds(self, size: int) -> float:
        """Job-seconds of waiting that it costs to lack this fleet's last worker when demand comes back to it."""
        return self._levels[size_index(size)].miss_cost_seconds(self._prices.boot_seconds)

    def hold_factor(self, size: int) -> float:
        """How long the last worker of a fleet of this size is kept idle, as a share of the break-even.

        The cheapest over the gaps that its level of demand has shown, and as far as those are few, over all levels'.
        """
        index = size_index(size)
        known = self._patience[index]
        if known is None:
            known = self._patience[index] = self._levels[index].gaps.cheapest(self._every)
        return known

    def dump(self) -> dict[str, Any]:
        """What is worth keeping over a change of leader, as JSON can carry it."""
        seen = {str(FLEET_SIZES[index]): level.dump() for index, level in enumerate(self._levels) if level.gaps.count}
        return {"losses": self._every.losses, "gaps": self._every.count, "sizes": seen}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Demand":
        """What `dump` gave.

        Raises:
            KeyError, ValueError, TypeError: it did not.
        """
        demand = cls()
        demand._every = IdleGaps(state["losses"], float(state["gaps"]))
        for size, level in state["sizes"].items():
            demand._levels[size_index(int(size))] = MarginalWorker.load(level)
        return demand

    def _follow(self, shadows: CounterfactualFleets, last: DemandSample, sample: DemandSample) -> None:
        """Sees to it that the sizes that matter are followed, and lets go of large ones that have long been idle."""
        busiest = max(last.jobs, sample.jobs) // sample.slots + 1
        needed = min(len(FLEET_SIZES), size_index(max(busiest, sample.ready + sample.booting)) + 2)
        number = shadows.tracked
        while number > needed and self._is_settled(self._levels[number - 1]):
            number -= 1
        shadows.track(max(needed, number))

    def _is_settled(self, level: MarginalWorker) -> bool:
        most = MAX_IDLE_BREAK_EVENS * self._break_even_seconds(level)
        return level.unused_since is not None and not level.is_returning and level.net_idle_seconds >= most

    def _break_even_seconds(self, level: MarginalWorker) -> float:
        """For so long a worker may idle before it costs as much as one that is gone and needed again."""
        prices = self._prices
        return prices.launch_seconds + prices.wait_weight * level.miss_cost_seconds(prices.boot_seconds)

    def _weigh(self, shadows: CounterfactualFleets, step: Transition, slots: int) -> None:
        """Books, for each size, what its last worker saved or idled since the last sample."""
        prices = self._prices
        size_before, waiting_before, idle_before = 0, shadows.unserved, 0.0
        for size, jobs, level in zip(FLEET_SIZES, shadows.jobs, self._levels, strict=False):
            room = size * slots
            waiting, idle = max(0.0, jobs - room), max(0.0, room - jobs) / slots
            saved = prices.wait_weight * max(0.0, waiting_before - waiting) - max(0.0, idle - idle_before)
            gain = saved / (size - size_before) * step.elapsed_seconds
            level.record_gain(gain, prices.launch_seconds, MAX_IDLE_BREAK_EVENS * self._break_even_seconds(level))
            size_before, waiting_before, idle_before = size, waiting, idle

    def _look_at_gaps(self, shadows: CounterfactualFleets, step: Transition, sample: DemandSample) -> None:
        """Begins and ends gaps, and follows what the last worker's absence would cost after one."""
        boot_seconds = self._prices.boot_seconds
        for index, jobs in enumerate(shadows.jobs):
            level, room, slots = self._levels[index], FLEET_SIZES[index] * sample.slots, sample.slots
            level.track_absence(step, sample.now, jobs, room, slots, boot_seconds)
            reached = _reaches(jobs, index, slots)
            if not reached and level.unused_since is None:
                level.unused_since = sample.now
            elif reached and level.unused_since is not None:
                gap = (sample.now - level.unused_since) / self._break_even_seconds(level)
                level.gaps.add(gap)
                self._every.add(gap)
                self._patience[index] = None
                level.on_demand_return(sample.now, jobs, room, slots)


def _reaches(jobs: float, index: int, slots: int) -> bool:
    """Whether so many jobs need the last worker of the fleet of this size; parts of jobs are rounded."""
    return jobs >= (FLEET_SIZES[index] - 1) * slots + 0.5
