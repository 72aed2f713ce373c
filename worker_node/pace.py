"""How many jobs a slot may hold at a time: decided by how long jobs have taken lately."""

BUDGET_SECONDS = 0.1
"""So much work is asked for at once: trips to Redis and to the executors cost a good part of a millisecond each, so ten
jobs of 10 ms share them; much more would be taken from other workers that stand idle."""
PREFETCH_SECONDS = 0.02
"""Jobs that take longer do not wait behind others here, where another worker might begin them."""
BEARABLE_SECONDS = 0.25
"""Jobs that are here already may wait for so long: to give them back costs more, and after a second they do go back."""
MAX_DEPTH = 128
MAX_REST_SECONDS, MIN_REST_SECONDS = 0.06, 0.002
REST_GRIDS_SECONDS = (0.05, 0.01)
"""Rests end at multiples of these by the event loop's clock, in all slots alike, so that they share trips to Redis."""
_WEIGHT_OF_SLOWER = 0.5
_WEIGHT_OF_A_JOB = 0.1


class Pace:
    """A moving average of the service time, and the depth that follows from it.

    Attributes:
        depth: how many jobs to hand to a slot at once: about 100 ms of work, at least 1, at most 128. It starts at 1
            and at most doubles with each observation, so that nothing long queues behind a lucky guess.
        bearable: how many jobs a slot may hold of those that have been claimed, which can be more than it would ask
            for by now: about 250 ms of work, at least 1, at most 256.
        prefetches: whether jobs are so short that the next ones are to wait at a busy slot already.
    """

    def __init__(self) -> None:
        self.depth = 1
        self.bearable = 1
        self.prefetches = False
        self._mean_seconds: float | None = None
        self._least_seconds = 0.0

    def observe(self, jobs: int, seconds: float) -> None:
        """Takes note that `jobs` jobs took `seconds` in all."""
        mean = seconds / jobs
        if self._mean_seconds is None:
            self._mean_seconds = self._least_seconds = mean
        else:
            # Growing slower is believed sooner: the jobs behind a long one are the ones that wait.
            slower = mean > self._mean_seconds
            weight = _WEIGHT_OF_SLOWER if slower else 1 - (1 - _WEIGHT_OF_A_JOB) ** jobs
            self._mean_seconds += weight * (mean - self._mean_seconds)
            self._least_seconds = min(mean, self._least_seconds + _WEIGHT_OF_A_JOB * (mean - self._least_seconds))
        self.prefetches = self._mean_seconds <= PREFETCH_SECONDS
        mean = max(self._mean_seconds, 1e-9)
        self.depth = max(1, min(int(BUDGET_SECONDS / mean), self.depth * 2, MAX_DEPTH))
        self.bearable = max(1, min(int(BEARABLE_SECONDS / mean), 2 * MAX_DEPTH))

    def rest_until(self, held: int, now: float) -> float | None:
        """Until when a slot with `held` jobs may leave its executor's reports to gather, None where not at all.

        That is for half of the time that the jobs took of late at the least, so that the executor does not run out of
        work; a job that is alone is not waited for. Times are the event loop's, in seconds.
        """
        if held < 2:
            return None
        latest = now + min(MAX_REST_SECONDS, held / 2 * self._least_seconds)
        ends = (latest // grid * grid for grid in REST_GRIDS_SECONDS)
        return next((end for end in ends if end - now > MIN_REST_SECONDS), None)
