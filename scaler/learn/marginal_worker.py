"""What is known of one level of demand: of the last worker of a fleet of one size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaler.learn.counterfactual_fleets import Transition

HOLD_FACTORS = (0.01, 0.05, 0.1, 0.18, 0.3, 0.45, 0.65, 1.0, 1.5, 2.5)
"""Candidates, as a share of the break-even, for how long a gap of demand is bridged."""
PRIOR_GAPS = 0.3
"""How many gaps outweigh the break-even itself, with which patience starts."""
SHARED_GAPS = 5.0
"""What the gaps of all levels have shown together counts as so many of each level's own."""
REMEMBERED_GAPS, REMEMBERED_RETURNS = 1000.0, 50.0
"""So many seen, the past counts half."""

MAX_MISS_COST_BOOTS = 5.0
"""As if so many jobs waited for a boot, at most, is missed for one that lacks: bounds how long a crowd is awaited."""


class IdleGaps:
    """What each of `PATIENCES` would have paid for the gaps of demand that were seen, in break-evens."""

    def __init__(self, losses: Sequence[float] = (0.0,) * len(HOLD_FACTORS), number: float = 0.0) -> None:
        if len(losses) != len(HOLD_FACTORS):
            raise ValueError(f"{len(losses)} losses, not {len(HOLD_FACTORS)}")
        self.losses = [float(loss) for loss in losses]
        self.count = number

    def add(self, gap: float) -> None:
        """A gap, in break-evens: it is bridged, or patience ends and one break-even is lost besides."""
        for index, patience in enumerate(HOLD_FACTORS):
            self.losses[index] += gap if gap < patience else patience + 1.0
        self.count += 1.0
        if self.count > REMEMBERED_GAPS:
            self.losses = [loss / 2 for loss in self.losses]
            self.count /= 2

    def cheapest(self, all_gaps: "IdleGaps") -> float:
        """The patience that would have paid least here, and as far as little was seen here, at every level."""
        weight = SHARED_GAPS / max(all_gaps.count, SHARED_GAPS)
        losses = [
            loss + weight * other + PRIOR_GAPS * math.log(patience) ** 2
            for patience, loss, other in zip(HOLD_FACTORS, self.losses, all_gaps.losses, strict=True)
        ]
        return HOLD_FACTORS[min(range(len(HOLD_FACTORS)), key=losses.__getitem__)]


class MarginalWorker:
    """The last worker of a fleet of one size.

    Attributes:
        free_since: since when demand has not reached it; None while it does.
        idle_seconds: for which it has idled, net of the waiting that it saved.
        saved_seconds: what it would just have saved in waiting, net of idling, up to the price of a launch.
        gaps: in which demand did not reach it.
        returns, missed_seconds: how often demand came back to it, and the job-seconds of waiting that a fleet without
            it would have had, in all, until it would have booted.
    """

    __slots__ = ("_absence", "gaps", "missed_seconds", "net_idle_seconds", "returns", "saved_seconds", "unused_since")

    def __init__(self) -> None:
        self.unused_since: float | None = None
        self.net_idle_seconds = self.saved_seconds = 0.0
        self.gaps = IdleGaps()
        self.returns = self.missed_seconds = 0.0
        self._absence: _Absence | None = None

    @property
    def is_returning(self) -> bool:
        """Whether demand came back to it less than a boot ago."""
        return self._absence is not None

    def miss_cost_seconds(self, boot_seconds: float) -> float:
        """Job-seconds of waiting that its absence costs when demand comes back; at first, one job waits for a boot."""
        return min((self.missed_seconds + boot_seconds) / (self.returns + 1), MAX_MISS_COST_BOOTS * boot_seconds)

    def on_demand_return(self, now: float, jobs: float, room: int, slots: int) -> None:
        """Demand reaches it again: so many jobs are there, for so many slots, those of its own included."""
        self.unused_since = None
        if self._absence is None:
            self._absence = _Absence(now, jobs, waiting=_waiting(jobs, room - slots) - _waiting(jobs, room))

    def track_absence(
        self, step: Transition, now: float, jobs: float, room: int, slots: int, boot_seconds: float
    ) -> None:
        """Follows what its absence would have cost since demand came back, until it would have booted."""
        absence = self._absence
        if absence is None:
            return
        left_seconds = absence.since + boot_seconds - (now - step.elapsed_seconds)
        absence.waited_seconds += absence.waiting * min(step.elapsed_seconds, left_seconds)
        absence.jobs = max(jobs, step.remaining_jobs(absence.jobs, room - slots))
        absence.waiting = _waiting(absence.jobs, room - slots) - _waiting(jobs, room)
        if left_seconds > step.elapsed_seconds:
            return
        self.returns += 1
        self.missed_seconds += absence.waited_seconds
        self._absence = None
        if self.returns > REMEMBERED_RETURNS:
            self.returns /= 2
            self.missed_seconds /= 2

    def record_gain(self, gain: float, launch_seconds: float, most_idle_seconds: float) -> None:
        """Books instance-seconds that it saved in waiting, less those that it idled."""
        if gain < 0:
            self.net_idle_seconds = min(most_idle_seconds, self.net_idle_seconds - gain)
            self.saved_seconds = max(0.0, self.saved_seconds + gain)
        elif gain > 0:
            self.saved_seconds = min(launch_seconds, self.saved_seconds + gain)
            # Worth a launch: demand has really returned, and was not a passing blip.
            real = self.saved_seconds >= launch_seconds
            self.net_idle_seconds = 0.0 if real else max(0.0, self.net_idle_seconds - gain)

    def dump(self) -> dict[str, Any]:
        """What was learned, as JSON can carry it."""
        return {
            "losses": self.gaps.losses,
            "gaps": self.gaps.count,
            "returns": self.returns,
            "missed_seconds": self.missed_seconds,
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "MarginalWorker":
        """What `dump` gave.

        Raises:
            KeyError, ValueError, TypeError: it did not.
        """
        level = cls()
        level.gaps = IdleGaps(state["losses"], float(state["gaps"]))
        level.returns, level.missed_seconds = float(state["returns"]), float(state["missed_seconds"])
        return level


@dataclass(slots=True)
class _Absence:
    """A fleet that had let the worker go when demand came back.

    Attributes:
        jobs: that wait or run in it.
        waiting: jobs that wait in it and would not in a fleet with the worker.
        waited_seconds: job-seconds of that, so far.
    """

    since: float
    jobs: float
    waiting: float
    waited_seconds: float = 0.0


def _waiting(jobs: float, room: int) -> float:
    return max(0.0, jobs - room)
