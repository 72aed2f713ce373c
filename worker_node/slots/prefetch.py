"""Adaptive prefetch: how many jobs a slot may hold, and for how long its reports are batched, from recent run times.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

from collections.abc import Sequence

BATCH_SECONDS = 0.1
"""An idle slot asks for this much work, and a busy slot asks for more when it has this much left. Jobs beyond that stay
in the queue for idle workers."""
PREFETCH_MULTIPLIER = 3
"""A busy slot is refilled to this many batches. Other workers have had their chance by then, and a round trip to Redis
and the executors costs a good part of a millisecond: the more jobs of 10 ms share it, the better."""
MAX_PREFETCHED_JOB_SECONDS = 0.02
"""Jobs that take longer are not prefetched: another worker might start them sooner."""
MAX_PREFETCH_SECONDS = 0.35
"""Jobs that have been claimed already may wait for this long: releasing them costs more. After a second they are
released all the same (`watchdog.MAX_WAIT_SECONDS`)."""
MAX_BATCH_SIZE, MAX_HELD_JOBS = 128, 256
MAX_REPORT_WINDOW_SECONDS, MIN_REPORT_WINDOW_SECONDS = 0.06, 0.0005
"""A job's end is recorded within 0.1 s, the round trip to Redis included."""
REPORT_WINDOW_GRIDS_SECONDS = (0.05, 0.01, 0.001)
"""Report windows end at multiples of these by the event loop's clock. So they end at the same time in all slots, which
then share round trips to Redis."""
REPORT_WINDOW_SHARE = 2 / 3
"""Reports may be batched for this share of the work that a slot holds: the rest outlasts the round trip for more."""
OVERHEAD_SECONDS = 0.000015
"""What an executor takes at least, beside the run time, from one job to the next."""
_WEIGHT_OF_SLOWER = 0.5
_WEIGHT_OF_A_JOB = 0.1


class PrefetchController:
    """Moving average of the run time of jobs, and the limits that follow from it.

    Attributes:
        batch_size: how many jobs an idle slot asks for: about 100 ms of work, 1 to 128 jobs. Starts at 1 and at most
            doubles with each observation, so that no long job queues behind a lucky guess.
        refill_level: how many jobs a busy slot is refilled to: three batches, at most 256 jobs.
        max_held: how many claimed jobs a slot may hold, even if it would ask for fewer by now: about 350 ms of work, 1
            to 256 jobs.
        prefetches: whether jobs are short enough for the next ones to wait in a busy slot.
    """

    def __init__(self) -> None:
        self.batch_size = 1
        self.refill_level = PREFETCH_MULTIPLIER
        self.max_held = 1
        self.prefetches = False
        self._mean_seconds: float | None = None
        self._least_seconds = 0.0

    def observe(self, seconds: Sequence[float]) -> None:
        """Note the run times of jobs that ended one after another."""
        mean = sum(seconds) / len(seconds)
        if self._mean_seconds is None:
            self._mean_seconds = self._least_seconds = mean
        weight = 1 - (1 - _WEIGHT_OF_A_JOB) ** len(seconds)
        self._least_seconds = min(*seconds, mean, self._least_seconds + weight * (mean - self._least_seconds))
        # Longer run times count for more: the jobs behind a long one are those that wait.
        slower = mean > self._mean_seconds
        self._mean_seconds += (_WEIGHT_OF_SLOWER if slower else weight) * (mean - self._mean_seconds)
        self.prefetches = self._mean_seconds <= MAX_PREFETCHED_JOB_SECONDS
        mean = max(self._mean_seconds, 1e-9)
        self.batch_size = max(1, min(int(BATCH_SECONDS / mean), self.batch_size * 2, MAX_BATCH_SIZE))
        self.refill_level = min(PREFETCH_MULTIPLIER * self.batch_size, MAX_HELD_JOBS)
        self.max_held = max(1, min(int(MAX_PREFETCH_SECONDS / mean), MAX_HELD_JOBS))

    def batch_until(self, held_jobs: int, report_bytes: float, buffer_bytes: int, now: float) -> float | None:
        """Return until when a slot may leave its executor's reports in the socket; None if it must not.

        The window covers a share of the work that the slot holds, assuming jobs as short as the shortest recent ones,
        so that the executor does not run out of work. The report of a single job is not delayed. Times are in seconds
        of the event loop's clock.

        Args:
            report_bytes: expected size of each report.
            buffer_bytes: what the executor's socket can hold, with the kernel's own structures: an executor must not
                wait on sending a report.
        """
        if held_jobs < 2 or held_jobs * _kernel_bytes(report_bytes) > buffer_bytes:
            return None
        work_seconds = held_jobs * (self._least_seconds + OVERHEAD_SECONDS)
        latest = now + min(MAX_REPORT_WINDOW_SECONDS, REPORT_WINDOW_SHARE * work_seconds)
        ends = (latest // grid * grid for grid in REPORT_WINDOW_GRIDS_SECONDS)
        return next((end for end in ends if end - now > MIN_REPORT_WINDOW_SECONDS), None)


def _kernel_bytes(report_bytes: float) -> float:
    """Return how much of its buffer a socket takes at most for a report of that size (`skb->truesize` of Linux)."""
    return 2 * (report_bytes + 340) + 256
