"""What can be told of running jobs from what workers and counters say: for how long, and of which functions."""

from collections.abc import Mapping, Sequence

from jobqueue.inspection.counters import FunctionCounts
from jobqueue.workers.registry import WorkerView


class RunningJobAges:
    """Remembers since when each worker runs what it runs: since its counts last changed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[tuple[int, int, int], float]] = {}

    def ages(self, workers: Sequence[WorkerView], now: float) -> list[float]:
        """Seconds that each running job has run at least; exact to a heartbeat for workers with one slot."""
        seen = {}
        for worker in workers:
            counts = (worker.running, worker.finished, worker.failed)
            before, since = self._seen.get(worker.name, (None, now))
            seen[worker.name] = (counts, since if counts == before else now)
        self._seen = seen
        return [now - seen[worker.name][1] for worker in workers for _ in range(worker.running)]


class OutstandingJobs:
    """Tells by function which jobs there are, from counters of what came and what ended.

    Jobs that were canceled, deleted, or ended by a stock worker are in no counter of ends, and requeued ones end twice.
    What that adds up to is seen whenever a function is left with more jobs than there are at all, or fewer than none.
    """

    def __init__(self) -> None:
        self._astray: dict[str, int] = {}

    def by_function(self, functions: FunctionCounts, jobs: int) -> dict[str, int]:
        """The jobs by function, each between 0 and `jobs`, which is how many there are of all."""
        ended = (functions.finished, functions.failed, functions.stopped)
        there = {}
        for name, came in functions.enqueued.items():
            left = came - sum(ends.get(name, 0) for ends in ended)
            there[name] = min(jobs, max(0, left - self._astray.get(name, 0)))
            self._astray[name] = left - there[name]
        return {name: number for name, number in there.items() if number}


def apportion(count: int, weights: Mapping[str, int]) -> dict[str, int]:
    """So many jobs divided in proportion, none lost; all under no name where nothing is known."""
    total = sum(weights.values())
    if not count:
        return {}
    if not total:
        return {"": count}
    exact = {name: count * weight / total for name, weight in weights.items()}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: exact[name] - shares[name], reverse=True)
    for name in by_remainder[: count - sum(shares.values())]:
        shares[name] += 1
    return {name: share for name, share in shares.items() if share}
