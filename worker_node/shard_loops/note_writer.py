"""Writes what running jobs tell of themselves and print, for one shard: collected, and never in the way of a job."""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence

from jobqueue.claimed_job import ClaimedJob
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.notes import LOG_STREAM, JobNotes, NewLine, save_notes, told_progress
from jobqueue.sharding.shard import Shard
from processes.wording import counted
from worker_node.redaction import Redaction

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
"""Between two writes."""
MAX_LINES, MAX_LINE_CHARACTERS = 200, 2000
"""Of a job between two writes. The first and the last lines are kept, and a line says how many were between them."""
MAX_READ_CHARACTERS = 4 * MAX_LINE_CHARACTERS
"""How much of a line is searched for secrets, before it is cut."""
MAX_JOBS, MAX_ALL_LINES = 1000, 5000
"""Of all jobs between two writes; what is more is dropped."""


class NoteWriter:
    """Keeps the last progress and the lines of each job until they are written; drops them if Redis is unavailable."""

    def __init__(self, shard: Shard, redaction: Redaction) -> None:
        self._shard = shard
        self._redaction = redaction
        self._notes: dict[tuple[str, str], _Notes] = {}
        self._all_lines = 0
        self._pending = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._lock = asyncio.Lock()
        self._in_write: set[tuple[str, str]] = set()

    async def wait_until_idle(self) -> None:
        """Wait until everything has been written."""
        await self._idle.wait()

    def take(self, job: ClaimedJob, operation: str, value: bytes) -> None:
        """Take what a job tells: its `progress`, or a line of its `log`.

        Raises:
            ValueError: it has not the form that `workmanager.job` gives it.
        """
        if operation == "progress":
            progress = _progress(value, self._redaction)
            if notes := self._notes_of(job):
                notes.progress = progress
        else:
            now_ms = time.time_ns() // 1_000_000
            lines = value.decode("utf-8", "replace").splitlines() or [""]
            self.take_output(job, [(now_ms, LOG_STREAM, line) for line in lines])

    def take_output(self, job: ClaimedJob, lines: Sequence[NewLine]) -> None:
        """Take lines that a job has printed."""
        if notes := self._notes_of(job):
            before = len(notes.head) + len(notes.tail)
            taken = lines[: max(0, MAX_ALL_LINES - self._all_lines)]
            notes.add([self._redacted(line) for line in taken], len(lines))
            self._all_lines += len(notes.head) + len(notes.tail) - before

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            await self._write(list(self._notes))
            if not self._notes:
                self._idle.set()
            await asyncio.sleep(PAUSE_SECONDS)

    async def write_for(self, jobs: Iterable[ClaimedJob]) -> None:
        """Write at once what these jobs have told: they have ended, and whoever sees that reads their lines next."""
        if self._notes or self._in_write:
            keys = [(job.id, job.token) for job in jobs]
            if any(key in self._notes or key in self._in_write for key in keys):
                await self._write(keys)

    async def _write(self, keys: Sequence[tuple[str, str]]) -> None:
        async with self._lock:
            notes = {key: notes for key in keys if (notes := self._notes.pop(key, None)) is not None}
            if not notes:
                return
            self._all_lines -= sum(len(each.head) + len(each.tail) for each in notes.values())
            self._in_write.update(notes)
            try:
                await save_notes(self._shard, [each.finished() for each in notes.values()])
            except JobQueueError as error:
                log.warning("event=notes_dropped shard=%s jobs=%d error=%r", self._shard.prefix, len(notes), str(error))
            finally:
                self._in_write.clear()

    def _redacted(self, line: NewLine) -> NewLine:
        at_ms, stream, text = line
        return at_ms, stream, self._redaction.of_text(text[:MAX_READ_CHARACTERS])[:MAX_LINE_CHARACTERS]

    def _notes_of(self, job: ClaimedJob) -> "_Notes | None":
        key = (job.id, job.token)
        if key not in self._notes and len(self._notes) >= MAX_JOBS:
            return None
        self._idle.clear()
        self._pending.set()
        return self._notes.setdefault(key, _Notes(job))


class _Notes:
    """What one job has told since the last write: its progress, its first lines, and its last ones."""

    def __init__(self, job: ClaimedJob) -> None:
        self._job = job
        self.progress = ""
        self.head: list[NewLine] = []
        self.tail: deque[NewLine] = deque(maxlen=MAX_LINES // 2)
        self._lines = 0

    def add(self, lines: Sequence[NewLine], number: int) -> None:
        """Add lines of which some were dropped before; `number` counts all."""
        room = MAX_LINES - MAX_LINES // 2 - len(self.head)
        self.head += lines[:room]
        self.tail.extend(lines[room:])
        self._lines += number

    def finished(self) -> JobNotes:
        """Return the notes as they are written."""
        lines = [*self.head, *self.tail]
        if left_out := self._lines - len(lines):
            at_ms, stream, _ = self.tail[0] if self.tail else (time.time_ns() // 1_000_000, LOG_STREAM, "")
            what = counted(left_out, "line is", "lines are")
            lines.insert(len(self.head), (at_ms, stream, f"({what} left out here)"))
        return JobNotes(self._job, self.progress, lines)


def _progress(value: bytes, redaction: Redaction) -> str:
    told = told_progress(value)
    if told is None:
        raise ValueError("a progress has the numbers `done` and `total`, and a `text`")
    text = redaction.of_text(told["text"])
    return json.dumps({**told, "text": text, "at": round(time.time(), 3)}, separators=(",", ":"))
