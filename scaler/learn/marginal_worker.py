"""The marginal worker of a fleet of one size: the worker that demand needs least, and what it saves and costs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaler.learn.counterfactual_fleets import Transition
from scaler.learn.idle_gaps import IdleGaps

REMEMBERED_RETURNS = 50.0
"""After this many returns of demand all earlier ones are weighted by one half."""
MAX_MISS_COST_BOOTS = 5.0
"""Upper bound of the miss cost: this many jobs waiting for a boot. It limits how long a worker waits for a burst."""


class MarginalWorker:
    """What was learned of the marginal worker of one fleet size.

    Attributes:
        unused_since: start of the current idle gap; None while demand reaches the worker.
        net_idle_seconds: time for which it has idled, less the waiting that it saved.
        saved_seconds: waiting that it would recently have saved, less its idling, up to the cost of a launch.
        gaps: its past idle gaps.
        returns, missed_seconds: how often demand returned after a gap, and the job-seconds that jobs would have waited
            in total, had it been launched only then.
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
        """Whether demand has returned to it within the last boot time."""
        return self._absence is not None

    def miss_cost_seconds(self, boot_seconds: float) -> float:
        """Return the expected job-seconds of waiting if demand returns after it is gone. Prior: one job, one boot."""
        return min((self.missed_seconds + boot_seconds) / (self.returns + 1), MAX_MISS_COST_BOOTS * boot_seconds)

    def on_demand_return(self, now: float, jobs: float, capacity: int, slots: int) -> None:
        """End the idle gap.

        Args:
            jobs: waiting and running jobs.
            capacity: slots of the fleet, including the worker's own.
            slots: slots of one worker.
        """
        self.unused_since = None
        if self._absence is None:
            waiting = _waiting(jobs, capacity - slots) - _waiting(jobs, capacity)
            self._absence = _Absence(now, jobs, waiting=waiting)

    def track_absence(
        self, transition: Transition, now: float, jobs: float, capacity: int, slots: int, boot_seconds: float
    ) -> None:
        """Add up what its absence would have cost since demand returned, until it would have booted."""
        absence = self._absence
        if absence is None:
            return
        remaining_seconds = absence.since + boot_seconds - (now - transition.elapsed_seconds)
        absence.waited_seconds += absence.waiting * min(transition.elapsed_seconds, remaining_seconds)
        absence.jobs = max(jobs, transition.remaining_jobs(absence.jobs, capacity - slots))
        absence.waiting = _waiting(absence.jobs, capacity - slots) - _waiting(jobs, capacity)
        if remaining_seconds > transition.elapsed_seconds:
            return
        self.returns += 1
        self.missed_seconds += absence.waited_seconds
        self._absence = None
        if self.returns > REMEMBERED_RETURNS:
            self.returns /= 2
            self.missed_seconds /= 2

    def record_gain(self, gain: float, launch_seconds: float, max_idle_seconds: float) -> None:
        """Record instance-seconds of waiting that it saved, less those that it idled."""
        if gain < 0:
            self.net_idle_seconds = min(max_idle_seconds, self.net_idle_seconds - gain)
            self.saved_seconds = max(0.0, self.saved_seconds + gain)
        elif gain > 0:
            self.saved_seconds = min(launch_seconds, self.saved_seconds + gain)
            # Savings worth a launch mean that demand has really returned.
            has_returned = self.saved_seconds >= launch_seconds
            self.net_idle_seconds = 0.0 if has_returned else max(0.0, self.net_idle_seconds - gain)

    def dump(self) -> dict[str, Any]:
        """Return the gaps and returns for JSON."""
        return {
            "losses": self.gaps.losses,
            "gaps": self.gaps.count,
            "returns": self.returns,
            "missed_seconds": self.missed_seconds,
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "MarginalWorker":
        """Restore the output of `dump`.

        Raises:
            KeyError, ValueError, TypeError: `dump` did not write it.
        """
        worker = cls()
        worker.gaps = IdleGaps(state["losses"], float(state["gaps"]))
        worker.returns, worker.missed_seconds = float(state["returns"]), float(state["missed_seconds"])
        return worker


@dataclass(slots=True)
class _Absence:
    """A fleet that had removed the worker before demand returned.

    Attributes:
        jobs: jobs that wait or run in it.
        waiting: jobs that wait in it, but would not in a fleet with the worker.
        waited_seconds: job-seconds of such waiting so far.
    """

    since: float
    jobs: float
    waiting: float
    waited_seconds: float = 0.0


def _waiting(jobs: float, capacity: int) -> float:
    return max(0.0, jobs - capacity)
