"""All shards of one queue. A shard is one RQ namespace (key prefix) on one master.

A plain Redis has one shard, with RQ's own prefix `rq`. A Redis Cluster has two per master; each prefix is a hash tag
(`{rq:7}`) that keeps all keys of the shard in one hash slot.
"""

import zlib
from collections.abc import Iterator

from jobqueue.backoff import Backoff
from jobqueue.errors import ShardUnavailable, WrongDatabase
from jobqueue.servers.topology import Topology
from jobqueue.sharding.job_ids import JobIdGenerator
from jobqueue.sharding.layout import Layout, agree_on_layout
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shard_rotation import ShardRotation


class Shards:
    """All shards of one queue.

    Attributes:
        all: the shards in order.
        topology: the servers that hold them.
        rotation: which shard gets the calls that may go to any of them.
    """

    def __init__(self, layout: Layout, topology: Topology) -> None:
        self.all = tuple(Shard(index, prefix, topology) for index, prefix in enumerate(layout.prefixes))
        self.topology = topology
        self.rotation = ShardRotation(len(self.all))
        self._job_ids = JobIdGenerator(len(self.all))

    @property
    def moving(self) -> dict[str, float]:
        """The shards that are being moved to another master: for how many seconds, by prefix."""
        return {shard.prefix: round(shard.move.seconds, 1) for shard in self.all if shard.move.is_under_way}

    @classmethod
    async def connect(cls, url: str, *, shard_count: int | None = None) -> "Shards":
        """Connect, and read the queue's layout from Redis; the first program to connect writes it.

        Args:
            url: see `Topology`.
            shard_count: how many shards there must be; None accepts the number in Redis, or takes two per master.

        Raises:
            ShardUnavailable: Redis cannot be reached.
            LayoutMismatch: the queue has another number of shards, or a newer format.
        """
        topology = Topology(url)
        try:
            return cls(await agree_on_layout(topology, shard_count), topology)
        except BaseException:
            await topology.close()
            raise

    @classmethod
    async def connect_with_retries(cls, topology: Topology) -> "Shards":
        """Connect, and retry until Redis can be reached; log when an outage begins and ends.

        Args:
            topology: the servers; they are closed if this fails for good.

        Raises:
            LayoutMismatch: the queue has a newer format.
            WrongDatabase: the server does not have the database of the URL.
        """
        backoff = Backoff("redis", None)
        try:
            while True:
                try:
                    shards = cls(await agree_on_layout(topology, None), topology)
                except WrongDatabase:
                    raise
                except ShardUnavailable as error:
                    await backoff.failed(error)
                else:
                    backoff.succeeded()
                    return shards
        except BaseException:
            await topology.close()
            raise

    def __iter__(self) -> Iterator[Shard]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def of(self, job_id: str) -> Shard:
        """Return the shard that a job with this id belongs to: CRC-32 of the id, modulo the number of shards."""
        if len(self.all) == 1:
            return self.all[0]
        return self.all[zlib.crc32(job_id.encode()) % len(self.all)]

    def in_rotation(self) -> list[Shard]:
        """Return all shards, the current one of the rotation first."""
        return [self.all[index] for index in self.rotation.order()]

    def new_id(self, shard: Shard | None = None) -> str:
        """Return a random id (32 hexadecimal digits) of the given shard, or of the current one of the rotation."""
        return self._job_ids.generate(self.rotation.current if shard is None else shard.index)

    def derived_id(self, text: str, shard: Shard) -> str:
        """Return an id of 32 hexadecimal digits of the shard, always the same one for a text."""
        return self._job_ids.derive(text, shard.index)

    async def close(self) -> None:
        """Close every connection."""
        await self.topology.close()
