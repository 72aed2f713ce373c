"""Streams that follow single jobs of one shard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobqueue.inspection.changes import Change
from jobqueue.inspection.job_states import JobState
from manager.events.inbox import Inbox

MAX_WAITING = 100
"""How many changes of its job wait for a stream. If there are more, it reads the job's record instead."""


class JobWatch(Inbox):
    """What one stream has not told of its job yet.

    Attributes:
        must_look: read the job's record: changes may be missing.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id
        self.must_look = True
        self._changes: list[Change] = []

    def put(self, change: Change) -> None:
        """Add a change."""
        if len(self._changes) >= MAX_WAITING:
            self._changes.clear()
            self.must_look = True
        self._changes.append(change)
        self.wake()

    def look(self) -> None:
        """Have the job's record read."""
        self.must_look = True
        self.wake()

    def take(self) -> list[Change]:
        """Return the changes, oldest first, and forget them."""
        changes, self._changes = self._changes, []
        return changes


@dataclass(slots=True)
class _Told:
    """What the streams of one job have been told of it last."""

    status: str | None = None
    progress: bytes = b""
    lines: int | None = None


class JobWatches:
    """The watches of one shard, by job."""

    def __init__(self) -> None:
        self._watches: dict[str, list[JobWatch]] = {}
        self._told: dict[str, _Told] = {}

    def __len__(self) -> int:
        return len(self._watches)

    @property
    def job_ids(self) -> list[str]:
        """The jobs that are watched."""
        return list(self._watches)

    def add(self, watch: JobWatch) -> None:
        """Add one."""
        self._watches.setdefault(watch.job_id, []).append(watch)
        self._told.setdefault(watch.job_id, _Told())

    def remove(self, watch: JobWatch) -> None:
        """Remove one."""
        watches = self._watches[watch.job_id]
        watches.remove(watch)
        if not watches:
            del self._watches[watch.job_id], self._told[watch.job_id]

    def deliver(self, changes: Iterable[Change]) -> None:
        """Give changes to those who watch their jobs."""
        for change in changes:
            for watch in self._watches.get(change.job_id, ()):
                watch.put(change)
            told = self._told.get(change.job_id)
            if told is not None:
                told.status = change.status or told.status
                told.progress = change.progress or told.progress
                if told.lines is not None:
                    told.lines += change.lines

    def compare(self, job_ids: Sequence[str], states: Sequence[JobState]) -> None:
        """Have records read again in which something stands that no change has told of.

        Plain RQ clients and workers write none, and a failover of Redis can lose some.
        """
        for job_id, state in zip(job_ids, states, strict=True):
            told = self._told.get(job_id)
            if told is None:
                continue
            seen = _Told(state.status, state.progress, state.lines)
            if seen != told:
                self._told[job_id] = seen
                for watch in self._watches[job_id]:
                    watch.look()

    def look_at_all(self) -> None:
        """Have all records read again."""
        for watches in self._watches.values():
            for watch in watches:
                watch.look()
