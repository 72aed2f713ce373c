"""Rhythms of all functions: which batch comes next, and with how many workers it costs least. Pure."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from scaler.learn.counterfactual_fleets import FLEET_SIZES, size_index
from scaler.learn.demand import Prices
from scaler.learn.rhythm import Rhythm
from scaler.policy import ExpectedBatch

MAX_FUNCTIONS = 64
"""Functions that are followed. Of more, the one whose jobs came longest ago is forgotten."""
OTHER_PERIODS = 2.0
"""What other jobs have needed counts for so many periods."""


class Rhythms:
    """Learns from the numbers of jobs by function, and tells which batch is expected next."""

    def __init__(self) -> None:
        self._rhythms: dict[str, Rhythm] = {}
        self._present: Mapping[str, int] | None = None
        self._ended: dict[str, int] = {}
        self._others_at = [-math.inf] * len(FLEET_SIZES)

    def observe(
        self, now: float, present: Mapping[str, int], ended: Mapping[str, int], slots: int, boot_seconds: float
    ) -> None:
        """Update the rhythms.

        Args:
            present: waiting and running jobs by function.
            ended: ended jobs by function since the queue was created. Functions of which the fleet has had no job are
                left out, because they can be of queues that it does not serve.
            slots: jobs that a worker runs at a time.
        """
        before, self._present = self._present, dict(present)
        last_ended, self._ended = self._ended, {}
        for function in {*present, *(before or ()), *self._rhythms}:
            self._ended[function] = ended.get(function, 0)
            done = max(0, self._ended[function] - last_ended.get(function, self._ended[function]))
            arrived = present.get(function, 0) - (before or {}).get(function, 0) + done
            if before is not None and arrived > 0:
                self._of(function).on_arrivals(now, arrived, boot_seconds)
        current = self._current(now)
        others = sum(jobs for function, jobs in present.items() if function not in current)
        if others:
            for index in range(size_index(-(-others // slots)) + 1):
                self._others_at[index] = now

    def expected(
        self, now: float, prices: Prices, slots: int, min_age_seconds: float, service_seconds: Callable[[str], float]
    ) -> ExpectedBatch | None:
        """Return the next batch, None without a rhythm. Batches that come within one boot of it are part of it.

        Args:
            min_age_seconds: minimum age of a worker, counted from its registration.
            service_seconds: returns the mean service time of a function.
        """
        current = self._current(now)
        if not current:
            return None
        first_at = min(rhythm.next_at(now) for rhythm in current.values())
        due = {name: each for name, each in current.items() if each.next_at(now) <= first_at + prices.boot_seconds}
        jobs = sum(rhythm.jobs for rhythm in due.values())
        period_seconds = min(rhythm.period_seconds for rhythm in due.values())
        work_seconds = sum(rhythm.jobs * service_seconds(name) for name, rhythm in due.items())
        return ExpectedBatch(
            jobs=jobs,
            every_seconds=period_seconds,
            in_seconds=first_at - now,
            workers=cheapest_workers(jobs, work_seconds / jobs, period_seconds, prices, slots, min_age_seconds),
            other_workers=self._other_workers(now - OTHER_PERIODS * period_seconds),
            functions=frozenset(current),
            is_missing=all(rhythm.missed(now) > 0 for rhythm in due.values()),
        )

    def dump(self) -> dict[str, Any]:
        """Return the batches by function, and when other jobs have needed how many workers, for JSON."""
        needed = [(size, at) for size, at in zip(FLEET_SIZES, self._others_at, strict=True) if at > -math.inf]
        return {"functions": {function: rhythm.dump() for function, rhythm in self._rhythms.items()}, "others": needed}

    @classmethod
    def load(cls, state: Mapping[str, Any], boot_seconds: float) -> "Rhythms":
        """Restore the output of `dump`.

        Raises:
            KeyError, ValueError, TypeError: `dump` did not write it.
        """
        rhythms = cls()
        for function, rhythm in state["functions"].items():
            rhythms._rhythms[str(function)] = Rhythm.load(rhythm, boot_seconds)
        for size, at in state["others"]:
            rhythms._others_at[size_index(int(size))] = float(at)
        return rhythms

    def _of(self, function: str) -> Rhythm:
        if function not in self._rhythms:
            if len(self._rhythms) == MAX_FUNCTIONS:
                del self._rhythms[min(self._rhythms, key=lambda name: self._rhythms[name].last_arrival_at)]
            self._rhythms[function] = Rhythm()
        return self._rhythms[function]

    def _current(self, now: float) -> dict[str, Rhythm]:
        return {function: rhythm for function, rhythm in self._rhythms.items() if rhythm.is_current(now)}

    def _other_workers(self, since: float) -> int:
        """Return how many workers the jobs of functions without a rhythm have needed at once since a time."""
        reached = [size for size, at in zip(FLEET_SIZES, self._others_at, strict=True) if at >= since]
        return max(reached, default=0)


def cheapest_workers(
    jobs: int, service_seconds: float, period_seconds: float, prices: Prices, slots: int, min_age_seconds: float
) -> int:
    """Return the number of workers, all ready when a batch comes, with which its waiting and its workers cost least.

    Each worker is paid from its launch until it has no more work, or the whole time between two batches.
    """
    most = -(-jobs // slots)

    def cost(workers: int) -> float:
        # All slots begin a job at the same time, round after round; the jobs that remain are run by a few workers.
        rounds, remaining = divmod(jobs, workers * slots)
        waiting = service_seconds * rounds * (workers * slots * (rounds - 1) / 2 + remaining)
        longer = -(-remaining // slots)

        def paid(rounds: int) -> float:
            return min(period_seconds, prices.launch_seconds + max(min_age_seconds, rounds * service_seconds))

        return prices.wait_weight * waiting + longer * paid(rounds + 1) + (workers - longer) * paid(rounds)

    return min([size for size in FLEET_SIZES if size < most] + [most], key=cost)
