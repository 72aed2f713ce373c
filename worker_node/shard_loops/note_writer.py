"""Writes what running jobs tell of themselves, for one shard: collected, and never in the way of a job."""

import asyncio
import json
import logging
import time

from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.notes import JobNotes, save_notes, told_progress
from jobqueue.model import ClaimedJob
from jobqueue.sharding.shard import Shard

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
"""Between two writes."""
MAX_LINES, MAX_LINE_CHARACTERS = 200, 2000
"""Of a job between two writes; what is more is left out, and a line says how much."""
MAX_JOBS = 1000


class NoteWriter:
    """Keeps the last progress and the lines of each job until they are written; drops them if Redis is unavailable."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._notes: dict[tuple[str, str], JobNotes] = {}
        self._left_out: dict[tuple[str, str], int] = {}
        self._pending = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def wait_until_idle(self) -> None:
        """Wait until everything has been written."""
        await self._idle.wait()

    def take(self, job: ClaimedJob, operation: str, value: bytes) -> None:
        """Take what a job tells: its `progress`, or a line of its `log`.

        Raises:
            ValueError: it has not the form that `workmanager.job` gives it.
        """
        text = _progress(value) if operation == "progress" else value.decode("utf-8", "replace")
        key = (job.id, job.token)
        if key not in self._notes and len(self._notes) >= MAX_JOBS:
            return
        note = self._notes.setdefault(key, JobNotes(job))
        if operation == "progress":
            note.progress = text
        elif len(note.lines) < MAX_LINES:
            now_ms = time.time_ns() // 1_000_000
            note.lines += [(now_ms, line[:MAX_LINE_CHARACTERS]) for line in text.splitlines() or [""]]
            self._left_out[key] = self._left_out.get(key, 0) + max(0, len(note.lines) - MAX_LINES)
            del note.lines[MAX_LINES:]
        else:
            self._left_out[key] = self._left_out.get(key, 0) + len(text.splitlines() or [""])
        self._idle.clear()
        self._pending.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._pending.wait()
            self._pending.clear()
            notes, self._notes = list(self._notes.values()), {}
            left_out, self._left_out = self._left_out, {}
            for note in notes:
                if number := left_out.get((note.job.id, note.job.token)):
                    note.lines.append((time.time_ns() // 1_000_000, f"({number} lines are left out here)"))
            try:
                await save_notes(self._shard, notes)
            except JobQueueError as error:
                log.warning("event=notes_dropped shard=%s jobs=%d error=%r", self._shard.prefix, len(notes), str(error))
            if not self._notes:
                self._idle.set()
            await asyncio.sleep(PAUSE_SECONDS)


def _progress(value: bytes) -> str:
    told = told_progress(value)
    if told is None:
        raise ValueError("a progress has the numbers `done` and `total`, and a `text`")
    return json.dumps({**told, "at": round(time.time(), 3)}, separators=(",", ":"))
