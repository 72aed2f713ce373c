"""What changes in jobs, as it happens: a stream of each shard, written only while somebody watches (_changes.lua)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobqueue import keys
from jobqueue.json_text import json_object
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import integer_of, name_of, record_of, text_of
from jobqueue.timestamps import LAST_MILLISECOND

WATCH_SECONDS = 30
"""How long scripts write changes after the last call of `watch_changes`."""
KEPT_SECONDS = 600
"""How long the stream stays after that call."""
MAX_CHANGES = 30_000
"""About how many changes a shard keeps (`_changes.lua`)."""
NO_CHANGE = "0-0"
"""Id before that of every entry."""
_BLOCK_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Change:
    """An entry of the stream.

    Attributes:
        id: of the entry. Its first part is the time, in milliseconds; later ones are larger (`change_order`).
        job_id: '' for an entry that says that changes were not written for a while before it.
        status: what the job is now; `deleted` if it does not exist any more; '' if it has told something of itself.
        queue: the job's, as `name_of` returns it.
        labels: the job's.
        progress: how far it is, as JSON; b'' if it has not told that.
        lines: how many lines it has logged.
    """

    id: str
    job_id: str
    status: str = ""
    queue: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    progress: bytes = b""
    lines: int = 0

    @property
    def at_ms(self) -> int:
        """When it was written, Unix time in milliseconds."""
        return min(change_order(self.id)[0], LAST_MILLISECOND)


@dataclass(frozen=True, slots=True)
class Watch:
    """Where the stream ends, and whether everything behind the entry that was asked about is still there."""

    last_id: str
    is_unbroken: bool


def change_order(change_id: str) -> tuple[int, int]:
    """Return what orders ids of entries of one shard; an id that is none comes first."""
    first, _, second = change_id.partition("-")
    return integer_of(first, highest=2**64), integer_of(second, highest=2**64)


async def watch_changes(shard: Shard, after: str = "") -> Watch:
    """Let changes be written for `WATCH_SECONDS`.

    Args:
        after: id of the entry after which the caller reads on; '' for none.

    Raises:
        ShardUnavailable: try again.
    """
    last_id, is_there = await shard.run(script("watch_changes"), WATCH_SECONDS, KEPT_SECONDS, after)
    return Watch(text_of(last_id), is_there == 1)


async def wait_for_changes(shard: Shard, after: str, limit: int, seconds: float) -> list[Change]:
    """Return up to `limit` changes after an entry; wait for the first for `seconds` at most.

    Raises:
        ShardUnavailable: the master is unavailable, or it has been replaced.
    """
    command = ("XREAD", "COUNT", limit, "BLOCK", int(seconds * 1000), "STREAMS", keys.changes(shard.prefix), after)
    (reply,) = await shard.execute(command, timeout_seconds=seconds + _BLOCK_GRACE_SECONDS)
    return _changes(reply[0][1]) if reply else []


async def last_change_id(shard: Shard) -> str:
    """Return the id of the last change that is kept; `NO_CHANGE` if there is none.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    command = ("XREVRANGE", keys.changes(shard.prefix), "+", "-", "COUNT", 1)
    (reply,) = await shard.execute(command, tolerate_wrong_types=True)
    return text_of(reply[0][0]) if reply else NO_CHANGE


async def read_changes(shard: Shard, first: str, limit: int) -> list[Change]:
    """Return up to `limit` changes that are kept, from the entry with the id `first` on.

    Raises:
        ShardUnavailable: the master is unavailable.
    """
    command = ("XRANGE", keys.changes(shard.prefix), first, "+", "COUNT", limit)
    (reply,) = await shard.execute(command, tolerate_wrong_types=True)
    return _changes(reply or ())


def _changes(entries: Sequence[Any]) -> list[Change]:
    return [_change(text_of(entry_id), record_of(flat)) for entry_id, flat in entries]


def _change(entry_id: str, fields: Mapping[str, bytes]) -> Change:
    labels = json_object(fields["labels"]) if "labels" in fields else None
    return Change(
        entry_id,
        name_of(fields.get("id", b"")),
        text_of(fields.get("status", b"")),
        name_of(fields.get("queue", b"")),
        {name: value for name, value in (labels or {}).items() if isinstance(value, str)},
        fields.get("progress", b""),
        integer_of(fields.get("lines")),
    )
