"""The audit stream: who changed the configuration when, from where, and what it was before and after.

Each entry is written by the script that makes the change, so that there is none without the other: on the first shard,
or on that of the schedule that is changed.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobqueue import keys
from jobqueue.json_text import json_object
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import record_of, text_of

KEPT_SECONDS = 90 * 24 * 3600
MAX_ENTRIES = 10_000
"""On one shard. The oldest go first. An entry takes about half a kilobyte. `lua/_audit.lua` has the same number."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change.

    Attributes:
        actor: id of a key, subject of a token, or `none` where nobody is asked who they are.
        address: of the client.
        request_id: as the access log has it.
    """

    actor: str
    address: str
    request_id: str

    def to_json(self) -> str:
        """Return what scripts write into the entry."""
        return json.dumps({"actor": self.actor, "address": self.address, "request_id": self.request_id})


def author_argument(author: Author | None) -> str:
    """Return a script's argument for the author; without one, it writes no entry."""
    return "" if author is None else author.to_json()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change.

    Attributes:
        id: of the entry; later ones are larger.
        at: Unix time, by Redis' clock.
        action: as the log event is called, such as `queue_paused`.
        target: the key, queue or schedule that was changed; '' for the scaler.
        before, after: what was changed; None where there was nothing, or it cannot be read.
    """

    id: str
    at: float
    author: Author
    action: str
    target: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


async def read_audit_page(
    shards: Iterable[Shard], limit: int, before: tuple[int, int] | None = None
) -> tuple[list[AuditEntry], bool]:
    """Return the latest entries of all shards, the latest first, and whether there are more.

    Args:
        limit: how many; more only if others have the same id as the last one.
        before: only entries before the one with this id, in its two parts.

    Raises:
        ShardUnavailable: try again.
    """
    parts = await asyncio.gather(*(read_audit(shard, limit + 1, before) for shard in shards))
    found = sorted((entry for part in parts for entry in part), key=_place, reverse=True)
    # Two shards can have an entry with the same id. The next page begins after it.
    end = limit
    while 0 < end < len(found) and found[end].id == found[end - 1].id:
        end += 1
    return found[:end], end < len(found)


async def read_audit(shard: Shard, limit: int, before: tuple[int, int] | None = None) -> list[AuditEntry]:
    """Return up to `limit` entries of one shard, the latest first; `before` as for all.

    Raises:
        ShardUnavailable: try again.
    """
    if before == (0, 0):
        return []  # Redis calls it an error to ask for what precedes the first of all ids.
    end = "+" if before is None else f"({before[0]}-{before[1]}"
    (found,) = await shard.execute(
        ("XREVRANGE", keys.audit(shard.prefix), end, "-", "COUNT", limit), tolerate_wrong_types=True
    )
    return [_entry(text_of(entry_id), record_of(fields)) for entry_id, fields in found or ()]


async def trim_audit(shard: Shard, *, now: float | None = None) -> int:
    """Delete entries that are older than `KEPT_SECONDS`; return their number.

    Raises:
        ShardUnavailable: try again.
    """
    if now is None:
        ((seconds, _),) = await shard.execute(("TIME",))
        now = float(seconds)
    oldest = max(0, round((now - KEPT_SECONDS) * 1000))
    (deleted,) = await shard.execute(
        ("XTRIM", keys.audit(shard.prefix), "MINID", "=", oldest), tolerate_wrong_types=True
    )
    return int(deleted or 0)


def _place(entry: AuditEntry) -> tuple[int, int]:
    milliseconds, _, number = entry.id.partition("-")
    return int(milliseconds), int(number)


def _entry(entry_id: str, fields: Mapping[str, bytes]) -> AuditEntry:
    author = json_object(fields.get("author")) or {}
    return AuditEntry(
        id=entry_id,
        at=int(entry_id.partition("-")[0]) / 1000,
        author=Author(*(str(author.get(name, "")) for name in ("actor", "address", "request_id"))),
        action=text_of(fields.get("action", b"")),
        target=text_of(fields.get("target", b"")),
        before=json_object(fields.get("before")),
        after=json_object(fields.get("after")),
    )
