"""How many jobs a slot may hold at a time: decided by how long jobs have taken lately."""

from collections.abc import Sequence

BATCH_SECONDS = 0.1
"""So much work an idle slot asks for, and a busy one has left when it asks for more: what else is queued may go to
workers that stand idle."""
PREFETCH_MULTIPLIER = 3
"""A busy slot is filled up to so many times that. Others have had their chance, and a trip to Redis and the executors
costs a good part of a millisecond: the more jobs of 10 ms share it, the better."""
MAX_PREFETCHED_JOB_SECONDS = 0.02
"""Jobs that take longer do not wait behind others here, where another worker might begin them."""
MAX_PREFETCH_SECONDS = 0.35
"""Jobs that are here already may wait for so long: to give them back costs more, and after a second they do go back."""
MAX_BATCH_SIZE, MAX_HELD_JOBS = 128, 256
MAX_REPORT_WINDOW_SECONDS, MIN_REPORT_WINDOW_SECONDS = 0.11, 0.002
REPORT_WINDOW_GRIDS_SECONDS = (0.1, 0.05, 0.01)
"""Rests end at multiples of these by the event loop's clock, in all slots alike, so that they share trips to Redis."""
REPORT_WINDOW_SHARE = 2 / 3
"""For so much of the work that a slot holds its reports may gather: what is left then outlasts the trip for more."""
MAX_BATCHED_REPORT_BYTES = 128 * 1024
"""So much of reports may gather in an executor's socket, which holds half as much again: it never waits to report."""
_WEIGHT_OF_SLOWER = 0.5
_WEIGHT_OF_A_JOB = 0.1


class PrefetchController:
    """A moving average of the service time, and the depth that follows from it.

    Attributes:
        depth: how many jobs to hand to a slot at once: about 100 ms of work, at least 1, at most 128. It starts at 1
            and at most doubles with each observation, so that nothing long queues behind a lucky guess.
        stock: up to how many jobs a busy slot is filled: three depths, at most 256.
        bearable: how many jobs a slot may hold of those that have been claimed, which can be more than it would ask
            for by now: about 350 ms of work, at least 1, at most 256.
        prefetches: whether jobs are so short that the next ones are to wait at a busy slot already.
    """

    def __init__(self) -> None:
        self.batch_size = 1
        self.refill_level = PREFETCH_MULTIPLIER
        self.max_held = 1
        self.prefetches = False
        self._mean_seconds: float | None = None
        self._least_seconds = 0.0

    def observe(self, seconds: Sequence[float]) -> None:
        """Takes note of how long some jobs took, which ended one after another."""
        mean = sum(seconds) / len(seconds)
        if self._mean_seconds is None:
            self._mean_seconds = self._least_seconds = mean
        weight = 1 - (1 - _WEIGHT_OF_A_JOB) ** len(seconds)
        self._least_seconds = min(*seconds, mean, self._least_seconds + weight * (mean - self._least_seconds))
        # Growing slower is believed sooner: the jobs behind a long one are the ones that wait.
        slower = mean > self._mean_seconds
        self._mean_seconds += (_WEIGHT_OF_SLOWER if slower else weight) * (mean - self._mean_seconds)
        self.prefetches = self._mean_seconds <= MAX_PREFETCHED_JOB_SECONDS
        mean = max(self._mean_seconds, 1e-9)
        self.batch_size = max(1, min(int(BATCH_SECONDS / mean), self.batch_size * 2, MAX_BATCH_SIZE))
        self.refill_level = min(PREFETCH_MULTIPLIER * self.batch_size, MAX_HELD_JOBS)
        self.max_held = max(1, min(int(MAX_PREFETCH_SECONDS / mean), MAX_HELD_JOBS))

    def batch_until(self, held_jobs: int, report_bytes: float, now: float) -> float | None:
        """Until when a slot with `held` jobs may leave its executor's reports to gather, None where not at all.

        Reports are taken to be of `report_bytes` each, as the last ones were.

        That is for a part of what they take if they are as short as jobs were of late at the least, so that the
        executor does not run out of work; a job that is alone is not waited for. Times are the event loop's, in
        seconds.
        """
        if held_jobs < 2 or held_jobs * report_bytes > MAX_BATCHED_REPORT_BYTES:
            return None
        latest = now + min(MAX_REPORT_WINDOW_SECONDS, held_jobs * REPORT_WINDOW_SHARE * self._least_seconds)
        ends = (latest // grid * grid for grid in REPORT_WINDOW_GRIDS_SECONDS)
        return next((end for end in ends if end - now > MIN_REPORT_WINDOW_SECONDS), None)
