"""The jobs that a slot holds, in the order in which its executor runs and reports them.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

from collections import deque
from collections.abc import Iterator, Sequence

from jobqueue.model import ClaimedJob
from worker_node.ipc.protocol import Task


class HeldJobs:
    """Jobs by the sequence number of their task. Times are in seconds of the monotonic clock.

    Attributes:
        due: number of the task whose report comes next. Only this one can be running.
        last: number of the task that was assigned last.
    """

    def __init__(self) -> None:
        self.due = 1
        self.last = 0
        self._jobs: dict[int, ClaimedJob] = {}
        self._batches: deque[tuple[int, float]] = deque()
        self._reported_at = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[int]:
        return iter(self._jobs)

    @property
    def jobs(self) -> Sequence[ClaimedJob]:
        """All jobs, in order."""
        return tuple(self._jobs.values())

    def get(self, sequence: int) -> ClaimedJob | None:
        """Return the job of a task; None if it is not held."""
        return self._jobs.get(sequence)

    def assign(self, jobs: Sequence[ClaimedJob], now: float) -> list[Task]:
        """Add jobs; return their tasks."""
        tasks = []
        for job in jobs:
            self.last += 1
            self._jobs[self.last] = job
            tasks.append(Task(self.last, job.id, job.data, job.from_http, job.unsupported_feature, job.isolated))
        self._batches.append((self.last, now))
        return tasks

    def take_due(self) -> ClaimedJob | None:
        """Take the job whose report has come; None if it was removed before."""
        job = self._jobs.pop(self.due, None)
        self.due += 1
        return job

    def note_reports(self, now: float) -> None:
        """Note that reports have just been taken."""
        self._reported_at = now

    def remove(self, sequences: Sequence[int]) -> list[ClaimedJob]:
        """Remove jobs."""
        return [self._jobs.pop(sequence) for sequence in sequences]

    def clear(self) -> dict[int, ClaimedJob]:
        """Remove all jobs, for another executor; return them by number."""
        jobs, self._jobs = self._jobs, {}
        self._batches.clear()
        self.due = self.last + 1
        return jobs

    def due_since(self) -> float:
        """Return since when the due task could run: it was assigned, and the one before it was reported."""
        return max(self.assigned_at(self.due), self._reported_at)

    def assigned_at(self, sequence: int) -> float:
        """Return when a task was assigned. It must be due, or come later."""
        while self._batches and self._batches[0][0] < self.due:
            self._batches.popleft()
        return next((at for last, at in self._batches if last >= sequence), 0.0)
