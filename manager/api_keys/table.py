"""The keys that this manager knows, read from Redis once a second, so that no request waits for Redis to be checked.

A revoked key is refused at the latest `MAX_AGE_SECONDS` after Redis confirmed its deletion: where Redis has not been
read for that long, keys are not checked at all, and requests get 503.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from manager.api_keys.caller import Caller
from manager.api_keys.limits import KeyLimiter
from manager.api_keys.record import KeyRecord, digest_of, id_of, matches
from manager.api_keys.store import read_keys

REFRESH_SECONDS = 1.0
READ_TIMEOUT_SECONDS = 2.0
MAX_AGE_SECONDS = 4.5
"""What was read is used for so long; users are promised 5 s."""

log = logging.getLogger(__name__)


class KeysUnknown(Exception):
    """This manager cannot tell which keys are valid: it has not read them from Redis for `MAX_AGE_SECONDS`."""


@dataclass(frozen=True, slots=True)
class _Entry:
    caller: Caller
    digests: tuple[str, ...]


class KeyTable:
    """The keys that are valid.

    Args:
        clock: returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._read_at: float | None = None
        self._shard: Shard | None = None
        self._task: asyncio.Task[None] | None = None

    def find(self, text: bytes) -> Caller | None:
        """Return whom a key belongs to; None if it is not valid.

        Raises:
            KeysUnknown: try again, or at another manager.
        """
        key_id = id_of(text)
        if key_id is None:
            return None
        if not self.is_current:
            raise KeysUnknown
        # An unknown id costs the same hash; that an id exists is no secret.
        digest, entry = digest_of(text), self._entries.get(key_id)
        return entry.caller if entry is not None and matches(digest, entry.digests) else None

    def entry(self, key_id: str) -> tuple[Caller, tuple[str, ...]] | None:
        """Return whom the key with this id belongs to, and the hashes of its secrets; None if there is none.

        Raises:
            KeysUnknown: try again, or at another manager.
        """
        if not self.is_current:
            raise KeysUnknown
        entry = self._entries.get(key_id)
        return None if entry is None else (entry.caller, entry.digests)

    def has_ended(self, caller: Caller) -> bool:
        """Return whether the key of a request that has been waiting is no longer known to be valid."""
        return caller.is_stored and not (self.is_current and caller.key_id in self._entries)

    @property
    def is_current(self) -> bool:
        """Whether the keys were read a moment ago."""
        return self._read_at is not None and self._clock() - self._read_at <= MAX_AGE_SECONDS

    def start(self, shard: Shard) -> None:
        """Read the keys from this shard, again and again."""
        self._shard = shard
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> None:
        """Read the keys now.

        Raises:
            ShardUnavailable: the shard does not answer.
        """
        if self._shard is not None:
            # What is read holds at least what Redis had confirmed before the read began.
            began_at = self._clock()
            stored = await read_keys(self._shard)
            self.load(stored.records(), stored.now, began_at)

    def load(self, records: list[KeyRecord], now: float, read_at: float) -> None:
        """Take these keys, read at `read_at` (by the clock) when Redis' time was `now`."""
        if self._read_at is not None and read_at < self._read_at:
            return  # A read that began earlier has ended later.
        entries = {}
        for record in records:
            digests = record.valid_digests(now)
            if digests:
                limiter = self._limiter_of(record)
                caller = Caller.of(record.id, record.scopes, record.queues, is_stored=True, limiter=limiter)
                entries[record.id] = _Entry(caller, digests)
        self._entries, self._read_at = entries, read_at

    def _limiter_of(self, record: KeyRecord) -> KeyLimiter | None:
        """Return what counts the key's requests: the one before, unless the limits have changed."""
        if not record.limits.are_set:
            return None
        before = self._entries.get(record.id)
        if before is not None and before.caller.limiter is not None and before.caller.limiter.limits == record.limits:
            return before.caller.limiter
        return KeyLimiter(record.limits, self._clock)

    async def _run(self) -> None:
        was_current = True
        while True:
            try:
                async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                    await self.refresh()
            except (JobQueueError, RedisError, OSError, TimeoutError) as error:
                log.debug("event=api_keys_not_read error=%s", error)
            except Exception:  # The loop's edge: an unforeseen error must not end the checks.
                log.exception("event=api_keys_crashed")
            if was_current != self.is_current:
                was_current = self.is_current
                if was_current:
                    log.info("event=api_keys_known keys=%d", len(self._entries))
                else:
                    log.warning(
                        "event=api_keys_unknown: Redis has not been read for %.1f s, so requests with keys from it get"
                        " 503; those of WORKMANAGER_API_KEYS work",
                        MAX_AGE_SECONDS,
                    )
            await asyncio.sleep(REFRESH_SECONDS)
