"""What a stream of the system has missed since its last event, from what the shards keep."""

import re
from collections.abc import AsyncIterator, Sequence

from jobqueue.inspection.changes import change_order, read_changes
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.events.subscriptions import ChangeFilter, event_id_of, status_event

CHANGES_PER_READ = 1000
_POSITION = r"(?:[0-9]{1,20}-[0-9]{1,20})?"


class Gap(Exception):
    """Changes are missing: they are not kept any more, or were not written."""


def positions_of(event_id: str, shard_count: int) -> tuple[str, ...] | None:
    """Return the positions in the id of an event (`event_id_of`), or None if it is none of this queue."""
    if not re.fullmatch(rf"{_POSITION}(?:,{_POSITION}){{{shard_count - 1}}}", event_id, re.ASCII):
        return None
    return tuple(event_id.split(","))


async def replay(
    shards: Shards, change_filter: ChangeFilter, after: Sequence[str], until: Sequence[str]
) -> AsyncIterator[bytes]:
    """Yield the events behind `after`, up to `until`, both positions of all shards.

    Raises:
        Gap: not all of them are there.
        ShardUnavailable: a shard is unavailable.
    """
    positions = list(after)
    for shard in shards:
        async for piece in _replay_shard(shard, change_filter, positions, until[shard.index]):
            yield piece


async def _replay_shard(
    shard: Shard, change_filter: ChangeFilter, positions: list[str], until: str
) -> AsyncIterator[bytes]:
    index = shard.index
    if positions[index] == until:
        return
    if not positions[index] or change_order(positions[index]) > change_order(until):
        # The stream began without this shard, or its master had more than the one that has taken its place.
        raise Gap
    end = change_order(until)
    while change_order(positions[index]) < end:
        changes = await read_changes(shard, positions[index], CHANGES_PER_READ)
        # The first is the one behind which the stream goes on: if it is there, so is all that follows.
        if len(changes) < 2 or changes[0].id != positions[index]:
            raise Gap
        events = []
        for change in changes[1:]:
            if change_order(change.id) > end:
                break
            if not change.job_id:
                raise Gap
            positions[index] = change.id
            if change.status and change_filter.shows(change):
                events.append(status_event(change, event_id_of(positions)))
        yield b"".join(events)
