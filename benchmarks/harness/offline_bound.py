"""A lower bound of what any policy pays and lets wait on a trace, even one that knows all arrivals in advance.

It is a linear programme whose variables are prices: `y`, the potential, between 0 and the price of a launch, changes
over time and falls by at most one a second. A job that runs from s to e is charged e - s + y(e) - y(s), divided by the
slots. Whatever an instance runs, it is charged for no more than it costs: a slot's jobs lie one after the other within
its working time of b seconds, every second is charged 1 + y' >= 0, and all of them b + y(end) - y(begin) <= b + launch.
So no schedule costs less than each job's waiting and charge at the start that is best for it. That holds for every
potential, whoever found it; the solver looks for the one with the highest bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

from scaler.simulation.trace import TracedJob

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

MAX_ROUNDS = 30
FIRST_STARTS_SECONDS = 30.0
"""In the first round each job has starts so far apart."""
MAX_SLACK_SECONDS = 20.0
"""Starts that are dearer than a job's best one by more than this are left out after the first round."""
ADDED_STARTS = 4
"""Starts of a job that one round adds."""


@dataclass(frozen=True, slots=True)
class OfflineBound:
    """What was proven.

    Attributes:
        seconds: no policy's cost and waiting, in instance-seconds, are less.
        at_most_seconds: no potential with the same knots gives more than this.
        rounds: rounds of the solver.
    """

    seconds: float
    at_most_seconds: float
    rounds: int


def offline_bound(
    jobs: Sequence[TracedJob],
    *,
    slots: int,
    boot_seconds: float,
    w: float,
    step_seconds: float = 2.0,
    gap: float = 0.002,
) -> OfflineBound:
    """Return the bound if each boot takes `boot_seconds`, and the first one begins with the first job.

    Args:
        step_seconds: distance of the potential's knots. Smaller ones give a higher bound, and take longer.
        gap: stop when the bound is known up to this share.
    """
    starts = _Starts(jobs, slots, boot_seconds, w, step_seconds)
    chosen = starts.some(FIRST_STARTS_SECONDS)
    best = at_most = 0.0
    for rounds in range(1, MAX_ROUNDS + 1):
        at_most, prices, potential = _solve(starts, chosen)
        costs = starts.costs(potential)
        best = max(best, float(costs.min(axis=1).sum()) + starts.least_waiting)
        at_most += starts.least_waiting
        if at_most <= best * (1 + gap):
            break
        if rounds == 1:
            chosen &= costs <= prices[:, None] + MAX_SLACK_SECONDS
        _add_cheapest(chosen, starts, costs, prices)
    return OfflineBound(best, at_most, rounds)


class _Starts:
    """All starts of each job at which its charge can be least: one row for each job.

    A job's charge is linear between the knots, so it is least where the job starts or ends at one. Once waiting costs
    more than two launches, divided by the slots, no potential makes up for it.

    Attributes:
        least_waiting: cost of waiting for the first boot, which no policy avoids.
        at: the starts in seconds.
        fixed: cost of each start without the potential's part.
        knots: times of the potential's knots.
    """

    def __init__(
        self, jobs: Sequence[TracedJob], slots: int, boot_seconds: float, w: float, step_seconds: float
    ) -> None:
        submitted = np.array([job.submit_seconds for job in jobs])
        service = np.array([job.service_seconds for job in jobs])[:, None]
        earliest = np.maximum(submitted, submitted.min() + boot_seconds)[:, None]
        self.slots, self.launch_seconds = slots, boot_seconds
        self.least_waiting = w * float((earliest[:, 0] - submitted).sum())
        steps = np.arange(int(2 * boot_seconds / (w * slots) / step_seconds) + 2) * step_seconds
        begins = np.ceil(earliest / step_seconds) * step_seconds + steps
        ends = np.ceil((earliest + service) / step_seconds) * step_seconds + steps
        self.at = np.concatenate([earliest, begins, np.maximum(earliest, ends - service)], axis=1)
        self.fixed = w * (self.at - earliest) + service / slots
        numbers = [np.floor(times / step_seconds).astype(np.int64) for times in (self.at, self.at + service)]
        used = np.unique(np.concatenate([numbers[0].ravel(), numbers[1].ravel()]))
        used = np.union1d(used, used + 1)
        self.knots: Numbers = used * step_seconds
        self._begin, self._end = (np.searchsorted(used, each) for each in numbers)
        self._begin_share = self.at / step_seconds - numbers[0]
        self._end_share = (self.at + service) / step_seconds - numbers[1]

    def some(self, apart_seconds: float) -> npt.NDArray[np.bool_]:
        """Return which starts are the earliest, or about so far from each other."""
        chosen = np.zeros(self.at.shape, dtype=bool)
        interval = max(1, round(apart_seconds / float(np.diff(self.knots).min())))
        chosen[:, 0] = True
        chosen[:, 1 : 1 + self.at.shape[1] // 2 : interval] = True
        return chosen

    def costs(self, potential: Numbers) -> Numbers:
        """Return the waiting and the charge of each start."""
        begin = potential[self._begin] * (1 - self._begin_share) + potential[self._begin + 1] * self._begin_share
        end = potential[self._end] * (1 - self._end_share) + potential[self._end + 1] * self._end_share
        costs: Numbers = self.fixed + (end - begin) / self.slots
        return costs

    def rows(self, job: Indices, start: Indices) -> sparse.coo_matrix:
        """Return the matrix of: least cost of the job - charge of the potential at this start."""
        count, jobs = len(job), len(self.at)
        begin, end = self._begin[job, start] + jobs, self._end[job, start] + jobs
        begin_share, end_share = self._begin_share[job, start], self._end_share[job, start]
        values = [
            np.full(count, float(self.slots)),
            *(1 - begin_share, begin_share),
            *(end_share - 1, -end_share),
        ]
        columns = np.concatenate([job, begin, begin + 1, end, end + 1])
        shape = (count, jobs + len(self.knots))
        return sparse.coo_matrix(
            (np.concatenate(values) / self.slots, (np.tile(np.arange(count), 5), columns)), shape=shape
        )


def _solve(starts: _Starts, chosen: npt.NDArray[np.bool_]) -> tuple[float, Numbers, Numbers]:
    """Return the programme's value with the chosen starts alone, the least cost of each job, and the potential."""
    jobs, knots = len(starts.at), starts.knots
    job, start = np.nonzero(chosen)
    falls = sparse.diags([1.0, -1.0], [jobs, jobs + 1], shape=(len(knots) - 1, jobs + len(knots)))
    found = linprog(
        np.concatenate([np.full(jobs, -1.0), np.zeros(len(knots))]),
        A_ub=sparse.vstack([starts.rows(job, start), falls]).tocsr(),
        b_ub=np.concatenate([starts.fixed[job, start], np.diff(knots)]),
        bounds=[(None, None)] * jobs + [(0.0, starts.launch_seconds)] * len(knots),
        method="highs-ipm",
    )
    if found.x is None:
        raise RuntimeError(f"the solver found no potential: {found.message}")
    return -found.fun, found.x[:jobs], _feasible(found.x[jobs:], starts)


def _feasible(potential: Numbers, starts: _Starts) -> Numbers:
    """Return the potential without the solver's errors of rounding, so that the bound holds exactly."""
    rising = np.maximum.accumulate(np.clip(potential, 0.0, starts.launch_seconds) + starts.knots)
    return np.minimum(starts.launch_seconds, rising - starts.knots)


def _add_cheapest(chosen: npt.NDArray[np.bool_], starts: _Starts, costs: Numbers, prices: Numbers) -> None:
    """Choose for each job its cheapest starts, if they are cheaper than the programme thinks, and not neighbours."""
    job, left = np.arange(len(costs)), costs.copy()
    for _ in range(ADDED_STARTS):
        start = left.argmin(axis=1)
        cheaper = left[job, start] < prices - 1e-3
        chosen[job[cheaper], start[cheaper]] = True
        apart = np.abs(starts.at - starts.at[job, start][:, None])
        left[apart < starts.launch_seconds / 6] = np.inf
