"""Follow the changes of one shard, whichever server is its master."""

import asyncio
import logging
import time

from redis.exceptions import RedisError

from jobqueue.backoff import Backoff
from jobqueue.errors import JobQueueError
from jobqueue.inspection.changes import change_order, wait_for_changes, watch_changes
from jobqueue.inspection.job_states import read_states
from jobqueue.sharding.shard import Shard
from manager.events.job_watches import JobWatches
from manager.events.subscriptions import Subscriptions

RENEW_SECONDS = 2.0
"""Pause between two calls that keep changes being written (`WATCH_SECONDS`)."""
LOOK_SECONDS = 2.0
"""Pause between two looks at the records of the jobs that are watched."""
BLOCK_SECONDS = 1.0
"""How long one read waits for a change."""
PAUSE_SECONDS = 0.02
"""Pause after a read before its changes are told: many changes come in few reads, and jobs go before what is told of
them. A single job has ended within a few milliseconds."""
MAX_CHANGES_PER_READ = 1000
RECORDS_PER_READ = 1000
CRASH_PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class ChangeReader:
    """Reads one shard while somebody wants its changes, and gives them to the streams of this manager.

    Args:
        subscriptions: those of all shards.

    Attributes:
        watches: the jobs of this shard that are followed.
        changes_read: how many changes it has read.
        ready: set while it is known where the stream of changes ends: what changes from then on is not missed.
    """

    def __init__(self, shard: Shard, subscriptions: Subscriptions) -> None:
        self.watches = JobWatches()
        self.changes_read = 0
        self.ready = asyncio.Event()
        self._shard = shard
        self._subscriptions = subscriptions
        self._backoff = Backoff("changes", shard.prefix)
        self._renew_at = self._look_at = 0.0
        self._must_tell_gap = False

    @property
    def is_wanted(self) -> bool:
        """Whether a stream needs the changes."""
        return len(self.watches) + len(self._subscriptions) > 0

    async def run(self) -> None:
        """Read until nobody needs the changes any more."""
        self._renew_at = self._look_at = 0.0
        self._must_tell_gap = False
        try:
            while self.is_wanted:
                try:
                    await self._turn()
                except (JobQueueError, RedisError) as error:
                    # The master may have been replaced: the next turn asks whether the new one has what comes next.
                    self._renew_at = 0.0
                    await self._backoff.failed(error)
                except Exception:
                    # The loop's edge: go on behind what could not be read.
                    log.exception("event=changes_crashed shard=%s", self._shard.prefix)
                    self._renew_at, self._position = 0.0, ""
                    self._must_tell_gap = True
                    await asyncio.sleep(CRASH_PAUSE_SECONDS)
                else:
                    self._backoff.succeeded()
        finally:
            self.ready.clear()
            self._position = ""

    @property
    def _position(self) -> str:
        return self._subscriptions.positions[self._shard.index]

    @_position.setter
    def _position(self, change_id: str) -> None:
        self._subscriptions.positions[self._shard.index] = change_id

    async def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._renew_at:
            await self._renew()
            self._renew_at = now + RENEW_SECONDS
        changes = await wait_for_changes(self._shard, self._position, MAX_CHANGES_PER_READ, BLOCK_SECONDS)
        if changes:
            await asyncio.sleep(PAUSE_SECONDS)
        self.changes_read += len(changes)
        if any(not change.job_id for change in changes):
            self._tell_gap()
        self.watches.deliver(changes)
        self._subscriptions.deliver(self._shard.index, changes)
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            await self._look()

    async def _renew(self) -> None:
        try:
            watch = await watch_changes(self._shard, self._position)
        except JobQueueError:
            # Streams that have begun meanwhile began without this shard.
            self._must_tell_gap = True
            raise
        is_new = not self._position
        # Another master, that never had the last change; or so many changes that it has been dropped.
        is_broken = not watch.is_unbroken and change_order(watch.last_id) != change_order(self._position)
        if is_new or is_broken:
            self._position = watch.last_id
        if self._must_tell_gap if is_new else is_broken:
            self._tell_gap()
        self._must_tell_gap = False
        self.ready.set()

    def _tell_gap(self) -> None:
        self.watches.look_at_all()
        self._subscriptions.tell_gap()

    async def _look(self) -> None:
        job_ids = self.watches.job_ids
        for first in range(0, len(job_ids), RECORDS_PER_READ):
            part = job_ids[first : first + RECORDS_PER_READ]
            self.watches.compare(part, await read_states(self._shard, part))
