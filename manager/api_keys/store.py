"""The records of API keys in Redis: one hash on the first shard.

One hash, so that a manager reads all keys with one command, whether it wants to check or to list them.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from jobqueue import keys
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


async def save_key(shard: Shard, record: KeyRecord, replaced: bytes | None) -> str:
    """Store a record in place of `replaced`, what was read before; None for a new key.

    Returns:
        'saved', 'changed' (something else is stored now: read it again), or 'full' (there are `MAX_KEYS` keys).

    Raises:
        ShardUnavailable: try again.
        QueueFull: Redis has no memory for it.
    """
    answer = await shard.run(
        script("save_api_key"),
        *(record.id, replaced or b"", record.to_json(), MAX_KEYS),
        replicate=True,
        needs_memory=True,
    )
    return text_of(answer)


async def delete_key(shard: Shard, key_id: str) -> bool:
    """Delete a key; return whether there was one.

    Raises:
        ShardUnavailable: try again.
    """
    (deleted,) = await shard.execute(
        ("HDEL", keys.api_keys(shard.prefix), key_id), replicate=True, tolerate_wrong_types=True
    )
    return bool(deleted)
