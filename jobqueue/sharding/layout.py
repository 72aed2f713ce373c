"""The queue's layout in Redis: record format and shard prefixes. The first program to connect writes it, once."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from redis.crc import key_slot
from redis.exceptions import NoPermissionError, RedisError

from jobqueue import keys
from jobqueue.errors import LayoutMismatch, NotPermitted, ShardUnavailable
from jobqueue.servers.adaptive_wait import NotReplicated, execute_replicated
from jobqueue.servers.cluster_map import HASH_SLOTS
from jobqueue.servers.connection_pool import RedisCommand, ServerPool
from jobqueue.servers.topology import Topology
from jobqueue.servers.unreachable import ServerUnreachable, UserDenied

RECORD_FORMAT = 1
"""The record format that this program writes. Programs one format apart run together, so that upgrades can roll."""
SHARDS_PER_MASTER = 2
WITNESS_SLOT = HASH_SLOTS - 1
"""The only slot of a witness: a third master that votes and holds no jobs."""
MAX_TAGS = 1024
"""How many hash tags are looked at for records of a cluster; a cluster of 100 masters uses tags below it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of the records.

    Attributes:
        format: version of the records.
        prefixes: key prefix of each shard, in order.
    """

    format: int
    prefixes: tuple[str, ...]

    @property
    def clustered(self) -> bool:
        """Whether it is the layout of a Redis Cluster, whose prefixes are hash tags."""
        return any(prefix.startswith("{") for prefix in self.prefixes)

    def to_json(self) -> str:
        """Return the layout as it is stored in Redis."""
        return json.dumps({"format": self.format, "shards": self.prefixes})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Layout":
        """Parse what `to_json` returns."""
        value = json.loads(text)
        return cls(format=int(value["format"]), prefixes=tuple(value["shards"]))


async def agree_on_layout(topology: Topology, shard_count: int | None) -> Layout:
    """Read the layout from Redis; write one if there is none.

    Raises:
        LayoutMismatch: it has another number of shards than `shard_count`, a format newer than the next one, or is that
            of a plain Redis on a cluster.
        ShardUnavailable: Redis cannot be reached, or a server without cluster mode holds a cluster's records.
        NotPermitted: (a ShardUnavailable) Redis denies the user what this needs.
    """
    server = await topology.master_of(key_slot(keys.LAYOUT.encode()))
    (stored,) = await _read(topology, server, ("GET", keys.LAYOUT))
    if not topology.clustered and await _has_cluster_records(topology, server, stored):
        raise topology.require_cluster(server)
    if stored is None:
        proposal = plan_layout(topology, shard_count)
        create = ("SET", keys.LAYOUT, proposal.to_json(), "NX")
        try:
            _, stored = await _write(topology, server, create, ("GET", keys.LAYOUT))
        except NotPermitted as error:
            if topology.login.role == "manager":
                raise
            raise NotPermitted(
                f"no manager has used Redis at {server.address} yet, and user {topology.login.user} may not prepare the"
                " queue: start a manager first"
            ) from error
    layout = Layout.from_json(stored)
    if topology.clustered and not layout.clustered:
        raise LayoutMismatch(
            f"the Redis Cluster at {server.address} holds the queue of a plain Redis: use that Redis, or an empty"
            " cluster"
        )
    if layout.format > RECORD_FORMAT + 1:
        raise LayoutMismatch(
            f"Redis at {server.address} holds records of format {layout.format}, but this program knows format"
            f" {RECORD_FORMAT}: start a newer version"
        )
    if shard_count is not None and len(layout.prefixes) != shard_count:
        raise LayoutMismatch(
            f"the queue in Redis at {server.address} has {len(layout.prefixes)} shards, but this program is configured"
            f" for {shard_count}: configure the same number, or none"
        )
    return layout


def plan_layout(topology: Topology, shard_count: int | None) -> Layout:
    """Return a layout for a new queue: prefixes whose slots are spread evenly over the masters.

    Masters with next to no slots (a witness) get no shard.

    Raises:
        LayoutMismatch: more than one shard is configured for a plain Redis.
        ShardUnavailable: a slot of the cluster has no master, so that the shards cannot be spread.
    """
    if not topology.clustered:
        if shard_count not in (None, 1):
            raise LayoutMismatch(
                f"a plain Redis has 1 shard, but this program is configured for {shard_count}: configure 1, or none"
            )
        return Layout(RECORD_FORMAT, ("rq",))
    owned = topology.masters_by_slot()
    if "" in owned:
        topology.invalidate()
        raise ShardUnavailable(f"{owned.count('')} slots of the Redis Cluster have no master: it is not formed yet")
    sizes = Counter(owned)
    masters = [address for address, size in sizes.items() if size > HASH_SLOTS // 100]
    wanted = shard_count or SHARDS_PER_MASTER * len(masters)
    missing = {address: (wanted - place - 1) // len(masters) + 1 for place, address in enumerate(masters)}
    prefixes: list[str] = []
    number = 0
    while len(prefixes) < wanted:
        prefix = f"{{rq:{number}}}"
        slot = key_slot(prefix.encode())
        if slot != WITNESS_SLOT and missing.get(owned[slot], 0) > 0:
            missing[owned[slot]] -= 1
            prefixes.append(prefix)
        number += 1
    return Layout(RECORD_FORMAT, tuple(prefixes))


async def _has_cluster_records(topology: Topology, server: ServerPool, stored: bytes | None) -> bool:
    """Return whether a server without cluster mode was a member of a cluster: it has its layout, or one of its shards.

    A second layout must not be written there: its jobs would be lost for the cluster's managers and workers.
    """
    if stored is not None:
        return Layout.from_json(stored).clustered
    prefixes = [f"{{rq:{number}}}" for number in range(MAX_TAGS)]
    # Keys that a worker's Redis user may read, too.
    marks = [key(prefix) for prefix in prefixes for key in (keys.queues, keys.workers, keys.manager_heartbeat)]
    try:
        (found,) = await server.execute(("EXISTS", *marks))
    except ServerUnreachable as error:
        topology.invalidate()
        raise ShardUnavailable(str(error)) from error
    # A user who may not read these keys is not one of a cluster.
    return not isinstance(found, RedisError) and found > 0


async def _read(topology: Topology, server: ServerPool, *commands: RedisCommand) -> list[Any]:
    try:
        return _checked(topology, server, await server.execute(*commands))
    except ServerUnreachable as error:
        topology.invalidate()
        raise ShardUnavailable(str(error), outcome_unknown=error.sent) from error


async def _write(topology: Topology, server: ServerPool, *commands: RedisCommand) -> list[Any]:
    try:
        replies = await execute_replicated(server, *commands, touch_key=keys.LAYOUT_MARK, masters=topology.masters)
        return _checked(topology, server, replies)
    except UserDenied as error:
        raise NotPermitted(str(error)) from error
    except (ServerUnreachable, NotReplicated) as error:
        topology.invalidate()
        raise ShardUnavailable(str(error), outcome_unknown=True) from error


def _checked(topology: Topology, server: ServerPool, replies: list[Any]) -> list[Any]:
    for reply in replies:
        if isinstance(reply, RedisError):
            topology.invalidate()
            if isinstance(reply, NoPermissionError):
                raise NotPermitted(topology.login.denied(server.address, "the queue's layout", str(reply)))
            raise ShardUnavailable(f"Redis at {server.address}: {reply}")
    return replies
