"""The records of API keys in Redis: one hash on the first shard.

One hash, so that a manager reads all keys with one command, whether it wants to check or to list them.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobqueue import keys
from jobqueue.audit import Author
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import text_of
from manager.api_keys.record import KeyRecord

MAX_KEYS = 1_000
"""Every manager reads all of them once a second."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """What Redis holds.

    Attributes:
        now: Redis' time (Unix time).
        texts: the stored records, by id.
    """

    now: float
    texts: Mapping[str, bytes]

    def records(self) -> list[KeyRecord]:
        """Return the records that can be read, the oldest first."""
        records = []
        for key_id, text in self.texts.items():
            try:
                records.append(KeyRecord.from_json(key_id, text))
            except ValueError as error:
                log.warning("event=api_key_unreadable key=%r: %s", key_id, error)
        return sorted(records, key=lambda record: (record.created_at, record.id))


async def read_keys(shard: Shard) -> StoredKeys:
    """Read all keys.

    Raises:
        ShardUnavailable: try again.
    """
    found, (seconds, microseconds) = await shard.execute(
        ("HGETALL", keys.api_keys(shard.prefix)), ("TIME",), tolerate_wrong_types=True
    )
    flat = list(found or ())
    texts = {text_of(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return StoredKeys(int(seconds) + int(microseconds) / 1e6, texts)


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What the audit stream notes of a change.

    Attributes:
        action: as the log event is called.
        before, after: the key, without secrets; None where there was none.
    """

    author: Author
    action: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    def script_arguments(self) -> Iterable[str]:
        """Return it in the form that `save_api_key.lua` takes."""
        yield from (self.author.to_json(), self.action)
        yield from ("" if each is None else json.dumps(each) for each in (self.before, self.after))


async def save_key(shard: Shard, record: KeyRecord, replaced: bytes | None, change: KeyChange | None = None) -> str:
    """Store a record in place of `replaced`, what was read before; None for a new key.

    Returns:
        'saved', 'changed' (something else is stored now: read it again), or 'full' (there are `MAX_KEYS` keys).

    Raises:
        ShardUnavailable: try again.
        QueueFull: Redis has no memory for it.
    """
    return await _save(shard, record.id, replaced or b"", record.to_json(), change, needs_memory=True)


async def delete_key(shard: Shard, key_id: str, read: bytes, change: KeyChange | None = None) -> str:
    """Delete a key whose record is `read`.

    Returns:
        'saved', or 'changed' (something else is stored now: read it again).

    Raises:
        ShardUnavailable: try again.
    """
    return await _save(shard, key_id, read, "", change, needs_memory=False)


async def _save(
    shard: Shard, key_id: str, read: bytes, new: str, change: KeyChange | None, *, needs_memory: bool
) -> str:
    noted = ("", "", "", "") if change is None else change.script_arguments()
    answer = await shard.run(
        *(script("save_api_key"), key_id, read, new, MAX_KEYS),
        *noted,
        replicate=True,
        needs_memory=needs_memory,
    )
    return text_of(answer)
