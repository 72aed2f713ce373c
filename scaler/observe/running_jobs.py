"""Numbers, ages and functions of jobs, estimated from worker heartbeats and the queue's counters."""

from collections.abc import Mapping, Sequence

from jobqueue.inspection.counters import FunctionCounts
from jobqueue.workers.registry import WorkerView


class RunningJobAges:
    """Estimates how long each job has run: since the counts of its worker last changed."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[tuple[int, int, int], float]] = {}

    def ages(self, workers: Sequence[WorkerView], now: float) -> list[float]:
        """Return a lower bound in seconds for each running job; exact to a heartbeat for workers with one slot."""
        current = {}
        for worker in workers:
            counts = (worker.running, worker.finished, worker.failed)
            last_counts, since = self._last.get(worker.name, (None, now))
            current[worker.name] = (counts, since if counts == last_counts else now)
        self._last = current
        return [now - current[worker.name][1] for worker in workers for _ in range(worker.running)]


class ServedJobs:
    """Counts the jobs that the fleet's workers end. The queue's counters include those of other workers."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def since_last(self, workers: Sequence[WorkerView]) -> int:
        """Return how many jobs these workers have ended since the last call, as of their latest heartbeats."""
        last, self._last = self._last, {worker.name: worker.finished + worker.failed for worker in workers}
        return sum(max(0, ended - last.get(name, 0)) for name, ended in self._last.items())


class OutstandingJobs:
    """Counts unfinished jobs by function, as the difference of the counters of enqueued and ended jobs.

    The difference drifts: no counter includes jobs that were canceled, deleted or ended by a plain RQ worker, and
    requeued jobs end twice. The drift of a function is corrected whenever its difference is negative or exceeds the
    number of all unfinished jobs.
    """

    def __init__(self) -> None:
        self._drift: dict[str, int] = {}

    def by_function(self, functions: FunctionCounts, jobs: int) -> dict[str, int]:
        """Return the unfinished jobs by function, each between 0 and `jobs`, the number of all unfinished jobs."""
        ended = (functions.finished, functions.failed, functions.stopped)
        outstanding = {}
        for name, enqueued in functions.enqueued.items():
            difference = enqueued - sum(counts.get(name, 0) for counts in ended)
            outstanding[name] = min(jobs, max(0, difference - self._drift.get(name, 0)))
            self._drift[name] = difference - outstanding[name]
        return {name: count for name, count in outstanding.items() if count}


def apportion(count: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Divide jobs in proportion to the weights by largest remainder; without weights all have the name ''."""
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
