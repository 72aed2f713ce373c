"""How many jobs a slot may hold at a time: decided by how long jobs have taken lately."""

BUDGET_SECONDS = 0.020
BEARABLE_SECONDS = 0.25
"""Jobs that are here already may wait for so long: to give them back costs more, and after a second they do go back."""
MAX_DEPTH = 128
_WEIGHT_OF_SLOWER = 0.5
_WEIGHT_OF_A_JOB = 0.1


class Pace:
    """A moving average of the service time, and the depth that follows from it.

    Attributes:
        depth: how many jobs to hand to a slot at once: about 20 ms of work, at least 1, at most 128. It starts at 1
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

    def observe(self, jobs: int, seconds: float) -> None:
        """Takes note that `jobs` jobs took `seconds` in all."""
        mean = seconds / jobs
        if self._mean_seconds is None:
            self._mean_seconds = mean
        else:
            # Growing slower is believed sooner: the jobs behind a long one are the ones that wait.
            slower = mean > self._mean_seconds
            weight = _WEIGHT_OF_SLOWER if slower else 1 - (1 - _WEIGHT_OF_A_JOB) ** jobs
            self._mean_seconds += weight * (mean - self._mean_seconds)
        self.prefetches = self._mean_seconds <= BUDGET_SECONDS
        mean = max(self._mean_seconds, 1e-9)
        self.depth = max(1, min(int(BUDGET_SECONDS / mean), self.depth * 2, MAX_DEPTH))
        self.bearable = max(1, min(int(BEARABLE_SECONDS / mean), 2 * MAX_DEPTH))
