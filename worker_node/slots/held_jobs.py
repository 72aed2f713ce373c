"""The jobs that a slot holds, in the order in which its executor runs and reports them.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jobqueue.claimed_job import ClaimedJob
from worker_node.ipc.protocol import Task
from worker_node.slots.slot_events import RunningJob

if TYPE_CHECKING:
    # Workers that do not trace start without OpenTelemetry.
    from worker_node.run_spans import RunSpans

MAX_START_SECONDS = 1.0
"""A job counts as running at the latest when it could have run for so long, whatever the status page says."""


class HeldJobs:
    """Jobs by the sequence number of their task. Times are in seconds of the monotonic clock.

    Args:
        spans: of the runs; None if nothing is traced.

    Attributes:
        due: number of the task whose report comes next. Only this one can be running.
        last: number of the task that was assigned last.
        recorded: number of the task that was last given an execution record, or is getting one.
    """

    def __init__(self, spans: "RunSpans | None" = None) -> None:
        self._spans = spans
        self.due = 1
        self.last = 0
        self.recorded = 0
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
            task = Task(self.last, job.id, job.data, job.from_http, job.isolated)
            if job.rq_callbacks is not None:
                timeout = -1 if job.timeout_seconds is None else job.timeout_seconds
                callbacks = [*job.rq_callbacks, timeout]
                task = task._replace(callbacks=callbacks, stopped=job.stopped, abandoned=job.is_abandoned)
            tasks.append(task)
        if self._spans is not None:
            contexts = map(self._spans.context_of, jobs)
            tasks = [task._replace(trace=context.text) for task, context in zip(tasks, contexts, strict=True)]
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

    def running(self, sequence: int, started_ns: int, now_ns: int) -> RunningJob | None:
        """Return the job that is running, as far as the executor's status page can be believed.

        Args:
            sequence, started_ns: what the page says: the last task that has begun, and since when it runs; 0 if it has
                ended.
        """
        job = self._jobs.get(sequence)
        if job is None or not started_ns:
            return None
        started_at = max(min(started_ns, now_ns) / 1e9, self.assigned_at(sequence))
        if sequence == self.due:
            started_at = min(started_at, self.due_since() + MAX_START_SECONDS)
        return RunningJob(sequence, job, started_at)

    def due_since(self) -> float:
        """Return since when the due task could run: it was assigned, and the one before it was reported."""
        return max(self.assigned_at(self.due), self._reported_at)

    def assigned_at(self, sequence: int) -> float:
        """Return when a task was assigned. It must be due, or come later."""
        while self._batches and self._batches[0][0] < self.due:
            self._batches.popleft()
        return next((at for last, at in self._batches if last >= sequence), 0.0)
