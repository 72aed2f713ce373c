"""The record on which all nodes of a queue agree: its format and its shards' prefixes, written once by the first."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis.crc import key_slot
from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.errors import LayoutMismatch, ShardUnavailable
from jobqueue.servers.adaptive_wait import NotReplicated, execute_replicated
from jobqueue.servers.connection_pool import RedisCommand, ServerPool, ServerUnreachable
from jobqueue.servers.topology import HASH_SLOTS, Topology

RECORD_FORMAT = 1
"""The format of the records that this program writes. It reads its own and the one before."""
SHARDS_PER_MASTER = 2
WITNESS_SLOT = HASH_SLOTS - 1
"""The slot of a witness: a third master that votes and holds no jobs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the records lie in Redis.

    Attributes:
        format: version of the records.
        prefixes: one for each shard, in order.
    """

    format: int
    prefixes: tuple[str, ...]

    def to_json(self) -> str:
        """As it stands in Redis."""
        return json.dumps({"format": self.format, "shards": self.prefixes})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Layout":
        """The reverse of `to_json`."""
        value = json.loads(text)
        return cls(format=int(value["format"]), prefixes=tuple(value["shards"]))


async def agree_on_layout(topology: Topology, shard_count: int | None) -> Layout:
    """Reads the layout that stands in Redis; the first node writes it.

    Raises:
        LayoutMismatch: it has another number of shards than `shard_count`, or a format newer than the next one.
        ShardUnavailable: Redis cannot be reached.
    """
    node = await topology.master_of(key_slot(keys.LAYOUT.encode()))
    (stands,) = await _execute(topology, node, ("GET", keys.LAYOUT))
    if stands is None:
        proposal = plan_layout(topology, shard_count)
        _, stands = await _write(topology, node, ("SET", keys.LAYOUT, proposal.to_json(), "NX"), ("GET", keys.LAYOUT))
    layout = Layout.from_json(stands)
    if layout.format > RECORD_FORMAT + 1:
        raise LayoutMismatch(
            f"Redis at {node.address} holds records of format {layout.format}, this program knows {RECORD_FORMAT}: "
            "start a newer version"
        )
    if shard_count is not None and len(layout.prefixes) != shard_count:
        raise LayoutMismatch(
            f"the queue in Redis at {node.address} has {len(layout.prefixes)} shards, this node was told {shard_count}:"
            " give it the same number, or none"
        )
    return layout


def plan_layout(topology: Topology, shard_count: int | None) -> Layout:
    """The layout for a queue that does not exist yet: prefixes whose slots spread evenly over the masters.

    Masters with next to no slots (a witness) get no shard.

    Raises:
        LayoutMismatch: a plain Redis has one shard, another number was asked for.
        ShardUnavailable: a slot of the cluster has no master, so that it cannot be said what is even.
    """
    if not topology.clustered:
        if shard_count not in (None, 1):
            raise LayoutMismatch(f"one plain Redis has 1 shard, this node was told {shard_count}")
        return Layout(RECORD_FORMAT, ("rq",))
    owned = topology.masters_by_slot()
    if "" in owned:
        topology.invalidate()
        raise ShardUnavailable(f"{owned.count('')} slots of the Redis Cluster have no master: it is not formed yet")
    sizes = Counter(owned)
    masters = [address for address, size in sizes.items() if size > HASH_SLOTS // 100]
    wanted = shard_count or SHARDS_PER_MASTER * len(masters)
    room = {address: (wanted - place - 1) // len(masters) + 1 for place, address in enumerate(masters)}
    prefixes: list[str] = []
    number = 0
    while len(prefixes) < wanted:
        prefix = f"{{rq:{number}}}"
        slot = key_slot(prefix.encode())
        if slot != WITNESS_SLOT and room.get(owned[slot], 0) > 0:
            room[owned[slot]] -= 1
            prefixes.append(prefix)
        number += 1
    return Layout(RECORD_FORMAT, tuple(prefixes))


async def _execute(topology: Topology, node: ServerPool, *commands: RedisCommand) -> list[Any]:
    try:
        return _checked(topology, node, await node.execute(*commands))
    except ServerUnreachable as error:
        topology.invalidate()
        raise ShardUnavailable(str(error), outcome_unknown=error.sent) from error


async def _write(topology: Topology, node: ServerPool, *commands: RedisCommand) -> list[Any]:
    try:
        answers = await execute_replicated(node, *commands, touch_key=keys.LAYOUT_MARK, masters=topology.masters)
        return _checked(topology, node, answers)
    except (ServerUnreachable, NotReplicated) as error:
        topology.invalidate()
        raise ShardUnavailable(str(error), outcome_unknown=True) from error


def _checked(topology: Topology, node: ServerPool, answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, RedisError):
            topology.invalidate()
            raise ShardUnavailable(f"Redis at {node.address}: {answer}")
    return answers
