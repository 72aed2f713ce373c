"""What one stream tells of its job: what is new, once, and in order."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from jobqueue.inspection.changes import NO_CHANGE, Change, change_order, last_change_id
from jobqueue.inspection.job_states import read_states
from jobqueue.lifecycle.notes import read_log, told_progress
from jobqueue.model import is_over
from jobqueue.sharding.shard import Shard
from manager.events.job_watches import JobWatch
from manager.http.server_sent_events import event
from manager.schemas.documents import log_line_document

LINES_PER_READ = 500


class JobStory:
    """What one stream tells of its job.

    Args:
        after: id of the line of its log after which to begin; '' for the first.

    Attributes:
        has_ended: there is nothing more to tell.
    """

    def __init__(self, shard: Shard, job_id: str, queue: str, after: str) -> None:
        self.shard = shard
        self.job_id = job_id
        self.has_ended = False
        self._queue = queue
        self._after = after
        # Where the changes ended when the job's record was read last.
        self._read_to = change_order(NO_CHANGE)
        self._told: dict[str, Any] = {}

    async def tell(self, watch: JobWatch) -> AsyncIterator[bytes]:
        """Yield what is new.

        Raises:
            ShardUnavailable: some of it could not be read: have the record read again.
        """
        must_look, watch.must_look = watch.must_look, False
        taken = watch.take()
        changes = [change for change in taken if change_order(change.id) > self._read_to]
        # Others tell of what was before the record: that is read again, in case their order is not that of time.
        must_look = must_look or len(changes) < len(taken)
        if must_look:
            changes.append(await self._read())
        for piece in self._events_of(changes):
            yield piece
        if self.has_ended:
            return
        is_ending = is_over(str(self._told.get("status", {}).get("status", "queued")))
        if must_look or is_ending or any(change.lines for change in changes):
            async for piece in self._log():
                yield piece
        if is_ending:
            yield self._end(self._told["status"]["status"])

    async def _read(self) -> Change:
        self._read_to = change_order(await last_change_id(self.shard))
        (state,) = await read_states(self.shard, [self.job_id])
        if state.queue is None:
            return Change("", self.job_id, "deleted", self._queue)
        return Change("", self.job_id, state.status, state.queue, {}, state.progress, state.lines)

    def _events_of(self, changes: Iterable[Change]) -> Iterator[bytes]:
        for change in changes:
            # Its id may have been used again, for a job of another queue.
            if change.status == "deleted" or (change.status and change.queue != self._queue):
                yield self._end("deleted")
                return
            status = {"id": self.job_id, "status": change.status} if change.status else None
            for name, value in (("status", status), ("progress", told_progress(change.progress or None))):
                if value is not None and self._told.get(name) != value:
                    self._told[name] = value
                    yield event(name, value)

    async def _log(self) -> AsyncIterator[bytes]:
        is_full = True
        while is_full:
            lines = (await read_log(self.shard, self.job_id, self._after, LINES_PER_READ)).lines
            is_full = len(lines) == LINES_PER_READ
            for line in lines:
                self._after = line.id
                yield event("log", log_line_document(line), line.id)

    def _end(self, status: str) -> bytes:
        self.has_ended = True
        return event("end", {"id": self.job_id, "status": status})
