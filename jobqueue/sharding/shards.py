"""The shards that the queue is spread over.

A shard is one RQ namespace. On a plain Redis there is one, with RQ's own prefix `rq`; on a Redis Cluster there are two
per master, each prefix carrying a hash tag (`{rq:7}`) that keeps all keys of the shard in one slot.
"""

import zlib
from collections.abc import Iterator

from jobqueue.backoff import Backoff
from jobqueue.errors import ShardUnavailable
from jobqueue.servers.topology import Topology
from jobqueue.sharding.job_ids import JobIdGenerator
from jobqueue.sharding.layout import Layout, agree_on_layout
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shard_rotation import ShardRotation


class Shards:
    """All shards of one queue.

    Attributes:
        all: the shards in their order.
        topology: the servers beneath them.
        turns: whose turn it is to get what may go to any of them.
    """

    def __init__(self, layout: Layout, topology: Topology) -> None:
        self.all = tuple(Shard(index, prefix, topology) for index, prefix in enumerate(layout.prefixes))
        self.topology = topology
        self.rotation = ShardRotation(len(self.all))
        self._new_ids = JobIdGenerator(len(self.all))

    @classmethod
    async def connect(cls, url: str, *, shard_count: int | None = None) -> "Shards":
        """Connects, and agrees with the queue's other nodes on the shards.

        Args:
            url: see `Topology`.
            shard_count: how many shards there must be; None takes what stands in Redis, or two per master.

        Raises:
            ShardUnavailable: Redis cannot be reached.
            LayoutMismatch: other nodes use another count or a newer format.
        """
        topology = Topology(url)
        try:
            return cls(await agree_on_layout(topology, shard_count), topology)
        except BaseException:
            await topology.close()
            raise

    @classmethod
    async def connect_with_retries(cls, url: str) -> "Shards":
        """As `connect`, but wait until Redis can be reached; the log says when it cannot and when it can again.

        Raises:
            LayoutMismatch: other nodes use a newer format.
        """
        backoff = Backoff("redis", None)
        while True:
            try:
                shards = await cls.connect(url)
            except ShardUnavailable as error:
                await backoff.failed(error)
            else:
                backoff.succeeded()
                return shards

    def __iter__(self) -> Iterator[Shard]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def of(self, job_id: str) -> Shard:
        """The shard that a job with this id belongs to: CRC-32 of the id, modulo the number of shards."""
        if len(self.all) == 1:
            return self.all[0]
        return self.all[zlib.crc32(job_id.encode()) % len(self.all)]

    def in_rotation(self) -> list[Shard]:
        """All shards, beginning with the one whose turn it is."""
        return [self.all[index] for index in self.rotation.order()]

    def new_id(self, shard: Shard | None = None) -> str:
        """A new random id (32 hexadecimal digits), of the given shard, else of the one whose turn it is."""
        return self._new_ids.generate(self.rotation.current if shard is None else shard.index)

    async def close(self) -> None:
        """Closes every connection."""
        await self.topology.close()
