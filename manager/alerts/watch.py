"""Looks at the queue every few seconds, on the manager that tells of it, and sends what is to be told."""

import asyncio
import json
import logging
import time
from collections.abc import Collection

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.errors import JobQueueError
from jobqueue.json_text import json_object
from jobqueue.sharding.shards import Shards
from manager.alerts.conditions import conditions
from manager.alerts.reading import BackupNote, FactsReader
from manager.alerts.sender import AlertSender
from manager.alerts.tracker import AlertTracker
from manager.reporter import Reporter

ROUND_SECONDS = 5.0

log = logging.getLogger(__name__)


class AlertWatch:
    """The loop of one manager.

    Args:
        reporter: knows whether this manager is the one that tells.
        kinds: those that are told; none named: all.
        backup: None if this host makes no backups.
        tracker: what has been told. It is read from Redis when this manager begins to tell.
    """

    def __init__(
        self,
        shards: Shards,
        reporter: Reporter,
        reader: FactsReader,
        sender: AlertSender,
        *,
        kinds: Collection[str] = (),
        backup: BackupNote | None = None,
        tracker: AlertTracker | None = None,
    ) -> None:
        self._shard = shards.all[0]
        self._reporter = reporter
        self._reader = reader
        self._sender = sender
        self._kinds = kinds
        self._backup = backup
        self._tracker = tracker or AlertTracker()
        self._is_telling = False
        self._stored = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to look, until `stop`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._sender.close()

    async def look(self, now: float) -> None:
        """Do one round, if this manager tells.

        Raises:
            ShardUnavailable: the first shard is away: what was told is known here, and stored later.
        """
        if not self._reporter.tells:
            self._is_telling = False
            return
        if not self._is_telling:
            await self._take_over()
            self._is_telling = True
        found = conditions(await self._reader.read(now))
        if self._kinds:
            found = {condition: text for condition, text in found.items() if condition.kind in self._kinds}
        self._tracker.update(found, now)
        due = self._tracker.due()
        if due and await self._sender.send(due, now):
            self._tracker.told(due)
            for alert in due:
                if alert.ended_at is None:
                    log.info("event=alert_began kind=%s subject=%r text=%r", alert.kind, alert.subject, alert.text)
                else:
                    log.info("event=alert_ended kind=%s subject=%r", alert.kind, alert.subject)
        await self._store()

    async def _run(self) -> None:
        while True:
            try:
                if self._backup is not None:
                    await self._backup.write()
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=backup_not_told error=%s", error)
            try:
                await self.look(time.time())
            except (JobQueueError, RedisError, OSError) as error:
                log.debug("event=alerts_not_checked error=%s", error)
            except Exception:  # The loop's edge: one bad value must not end the alerts.
                log.exception("event=alerts_crashed")
            await asyncio.sleep(ROUND_SECONDS)

    async def _take_over(self) -> None:
        """Read what the manager that told before has told."""
        (stored,) = await self._shard.execute(("GET", keys.alerts(self._shard.prefix)), tolerate_wrong_types=True)
        state = json_object(stored) or {}
        self._tracker.load(state.get("alerts"))
        self._reader.load(state.get("growth"))
        self._stored = ""

    async def _store(self) -> None:
        text = json.dumps({"alerts": self._tracker.dump(), "growth": self._reader.dump()})
        if text != self._stored:
            await self._shard.execute(("SET", keys.alerts(self._shard.prefix), text))
            self._stored = text
