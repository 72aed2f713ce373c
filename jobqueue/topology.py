"""Which server is the master of a slot: one plain Redis, or a Redis Cluster, whose map is renewed when stale."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from jobqueue.errors import ShardUnavailable
from jobqueue.node import Node, NodeUnreachable
from jobqueue.redis_url import read_redis_url

SLOTS = 16384


class Topology:
    """The servers behind a Redis URL.

    Args:
        url: see `read_redis_url`.

    Raises:
        ValueError: the URL is none of Redis; the message says why, without the password.
    """

    def __init__(self, url: str) -> None:
        address = read_redis_url(url)
        self._seeds = address.seeds
        self._connect = address.connect
        self._nodes: dict[tuple[str, int], Node] = {}
        self._masters: list[tuple[int, int, Node]] = []
        self._stale = True
        self._refreshing = asyncio.Lock()
        self.clustered = False

    def masters_by_slot(self) -> list[str]:
        """The address of each slot's master, by slot, in the order of the map; '' where no master has the slot."""
        owners = [""] * SLOTS
        for first, last, node in self._masters:
            owners[first : last + 1] = [node.address] * (last - first + 1)
        return owners

    def invalidate(self) -> None:
        """Says that the map has proved wrong: it is asked for anew before its next use."""
        self._stale = True

    async def master_of(self, slot: int) -> Node:
        """The server to ask about `slot`.

        Raises:
            ShardUnavailable: no server answers, or none has the slot.
        """
        if self._stale:
            await self.refresh()
        for first, last, node in self._masters:
            if first <= slot <= last:
                return node
        self._stale = True
        raise ShardUnavailable(f"no master has slot {slot}")

    async def refresh(self) -> None:
        """Asks for the map, any server that answers; many callers at once share one question.

        Raises:
            ShardUnavailable: no server answers.
        """
        async with self._refreshing:
            if not self._stale:
                return
            addresses = list({*self._nodes, *self._seeds})
            # Another one each time: an isolated server answers with an old map.
            random.shuffle(addresses)
            failures = []
            for host, port in addresses:
                try:
                    answer = (await self._node(host, port).execute(("CLUSTER", "SLOTS"), timeout_seconds=1.0))[0]
                except NodeUnreachable as error:
                    failures.append(str(error))
                    continue
                if isinstance(answer, RedisError) and "cluster support disabled" in str(answer):
                    self.clustered = False
                    self._masters = [(0, SLOTS - 1, self._node(host, port))]
                elif isinstance(answer, RedisError):
                    failures.append(f"Redis at {host}:{port}: {answer}")
                    continue
                else:
                    self.clustered = True
                    self._masters = self._read_slots(answer, host)
                self._stale = False
                return
            raise ShardUnavailable("; ".join(failures))

    async def close(self) -> None:
        """Closes every connection."""
        for node in self._nodes.values():
            await node.close()

    def _read_slots(self, answer: Sequence[Sequence[Any]], asked: str) -> list[tuple[int, int, Node]]:
        # Each entry: first slot, last slot, master, replicas; a server: host, port, id. An empty host is the asked one.
        return [
            (int(first), int(last), self._node(master[0].decode() if master[0] else asked, int(master[1])))
            for first, last, master, *_ in answer
        ]

    def _node(self, host: str, port: int) -> Node:
        if (host, port) not in self._nodes:
            self._nodes[host, port] = Node(host, port, self._connect)
        return self._nodes[host, port]
