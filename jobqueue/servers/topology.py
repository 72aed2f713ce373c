"""Which server is the master of a slot: one plain Redis, or a Redis Cluster, whose map is renewed when stale."""

import asyncio
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.connection_pool import ServerPool, ServerUnreachable, parse_info
from jobqueue.servers.url import parse_redis_url

HASH_SLOTS = 16384
MAP_TIMEOUT_SECONDS = 1.0
HEDGE_DELAY_SECONDS = 0.2
"""After so long without an answer the next server is asked, too."""
SUCCESSOR_POLL_SECONDS = 0.25
"""Between two looks for the successor of a master whose answers are late."""

Address = tuple[str, int]

log = logging.getLogger(__name__)


class _Partitioned(ShardUnavailable):
    """Servers of a cluster answer, but none of them is with its majority: they take nothing."""


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """What one server says of the whole.

    Attributes:
        masters: first slot, last slot and master's address of each range.
        replicas: addresses.
        epoch: of the cluster; it grows with every succession.
        serves: whether the server is with the majority, as far as it knows.
        clustered: False for a plain Redis, which has every slot.
    """

    masters: tuple[tuple[int, int, Address], ...]
    replicas: frozenset[Address]
    epoch: int
    has_majority: bool
    clustered: bool

    @classmethod
    def of_standalone(cls, address: Address) -> "ClusterMap":
        """The map of a server that belongs to no cluster."""
        return cls(((0, HASH_SLOTS - 1, address),), frozenset(), 0, True, False)

    @classmethod
    def parse(cls, info: bytes, slots: Any, asked: Address) -> "ClusterMap":
        """From the answers to CLUSTER INFO and CLUSTER SLOTS of the server at `asked`."""
        fields = parse_info(info)

        # Each entry: first slot, last slot, master, replicas; a server: host, port, id. An empty host is the asked one.
        def address(server: Any) -> Address:
            return (server[0].decode() if server[0] else asked[0], int(server[1]))

        return cls(
            masters=tuple((int(first), int(last), address(master)) for first, last, master, *_ in slots),
            replicas=frozenset(address(replica) for _, _, _, *replicas in slots for replica in replicas),
            epoch=int(fields.get("cluster_current_epoch", 0)),
            has_majority=fields.get("cluster_state") == "ok",
            clustered=True,
        )


class Topology:
    """The servers behind a Redis URL.

    Args:
        url: see `parse_redis_url`.

    Attributes:
        user: as whom it is asked.

    Raises:
        ValueError: the URL is none of Redis; the message says why, without the password.
    """

    def __init__(self, url: str) -> None:
        address = parse_redis_url(url)
        self.user = address.user
        self._seeds = address.seeds
        self._connect = address.connect
        self._pools: dict[Address, ServerPool] = {}
        self._map = ClusterMap((), frozenset(), 0, False, False)
        self._stale = True
        self._best_informed: Address | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._searches: dict[ServerPool, asyncio.Task[None]] = {}

    @property
    def clustered(self) -> bool:
        """Whether the servers are a Redis Cluster, as far as is known."""
        return self._map.clustered

    def masters_by_slot(self) -> list[str]:
        """The address of each slot's master, by slot, in the order of the map; '' where no master has the slot."""
        owners = [""] * HASH_SLOTS
        for first, last, (host, port) in self._map.masters:
            owners[first : last + 1] = [f"{host}:{port}"] * (last - first + 1)
        return owners

    def invalidate(self, best_informed: ServerPool | None = None) -> None:
        """Says that the map has proved wrong: it is asked for anew before its next use.

        Args:
            best_informed: the server to ask first, if it was one that said so.
        """
        self._stale = True
        if best_informed is not None:
            self._best_informed = (best_informed.host, best_informed.port)

    async def master_of(self, slot: int) -> ServerPool:
        """The server to ask about `slot`.

        Raises:
            ShardUnavailable: no server answers, or none has the slot.
        """
        if self._stale:
            await self.refresh()
        for first, last, address in self._map.masters:
            if first <= slot <= last:
                return self._pool(address)
        self._stale = True
        raise ShardUnavailable(f"no master has slot {slot}")

    def has_moved(self, slot: int, node: ServerPool) -> bool:
        """Whether another server than `node` is known to be the slot's master by now."""
        return not self._stale and any(
            first <= slot <= last and address != (node.host, node.port) for first, last, address in self._map.masters
        )

    def masters(self) -> list[ServerPool]:
        """Every master of the map."""
        return [self._pool(address) for address in dict.fromkeys(address for _, _, address in self._map.masters)]

    async def refresh(self) -> None:
        """Asks for the map; many callers at once share one question.

        Raises:
            ShardUnavailable: no server answers, or none that is with the majority of a cluster.
        """
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._renew())
        await asyncio.shield(self._refreshing)

    async def close(self) -> None:
        """Closes every connection."""
        tasks = [*self._searches.values(), *([self._refreshing] if self._refreshing is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for node in self._pools.values():
            await node.close()

    async def _renew(self) -> None:
        try:
            if self._stale:
                await self._take(await self._query_members())
        finally:
            self._refreshing = None

    async def _take(self, newer: ClusterMap) -> None:
        self._map, self._stale = newer, False
        masters = {address for _, _, address in newer.masters}
        for address, node in self._pools.items():
            if address not in masters and node.has_overdue_reply:
                log.warning("event=master_replaced node=%s", node.address)
                node.cancel_in_flight()
        await self._forget_departed()

    def _watch(self, node: ServerPool) -> None:
        """A server's answer is late: it may have been succeeded, and nobody need wait for what it will never say."""
        if self._map.clustered and node not in self._searches:
            self._searches[node] = asyncio.create_task(self._find_successor(node))

    async def _find_successor(self, node: ServerPool) -> None:
        try:
            while node.has_overdue_reply:
                try:
                    await self._take(await self._query_members())
                except _Partitioned:
                    node.cancel_in_flight()
                except ShardUnavailable:
                    pass  # Nobody knows: it is waited for as long as its caller wants to.
                await asyncio.sleep(SUCCESSOR_POLL_SECONDS)
        finally:
            del self._searches[node]

    async def _query_members(self) -> ClusterMap:
        """The first map that can be trusted, asking one server after the other, without waiting for the silent ones.

        A server that comes back answers with an old map; it counts where nobody has a better one.

        Raises:
            ShardUnavailable: no server answers.
            _CutOff: those that answer are not with the majority, so that they take nothing.
        """
        to_ask = self._in_turn()
        asking: set[asyncio.Task[ClusterMap]] = set()
        doubtful: list[ClusterMap] = []
        failures: list[str] = []
        try:
            while True:
                address = next(to_ask, None)
                if address is not None:
                    asking.add(asyncio.create_task(self._ask(address)))
                if not asking:
                    break
                patience = None if address is None else HEDGE_DELAY_SECONDS
                done, asking = await asyncio.wait(asking, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    try:
                        answer = task.result()
                    except ShardUnavailable as error:
                        failures.append(str(error))
                        continue
                    if answer.has_majority and answer.epoch >= self._map.epoch:
                        return answer
                    doubtful.append(answer)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        if not doubtful:
            raise ShardUnavailable("; ".join(failures))
        serving = [answer for answer in doubtful if answer.has_majority]
        if not serving:
            raise _Partitioned(
                "; ".join(
                    ["no server that answers is with the majority of its cluster, or it is not formed yet", *failures]
                )
            )
        return max(serving, key=lambda answer: answer.epoch)

    def _in_turn(self) -> Iterator[Address]:
        addresses = list({*self._pools, *self._seeds})
        random.shuffle(addresses)
        addresses.sort(key=lambda address: address in self._pools and self._pools[address].has_overdue_reply)
        first, self._best_informed = self._best_informed, None
        if first is not None:
            yield first
        yield from (address for address in addresses if address != first)

    async def _ask(self, address: Address) -> ClusterMap:
        host, port = address
        try:
            info, slots = await self._pool(address).execute(
                ("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"), timeout_seconds=MAP_TIMEOUT_SECONDS
            )
        except ServerUnreachable as error:
            raise ShardUnavailable(str(error)) from error
        if isinstance(slots, RedisError) and "cluster support disabled" in str(slots):
            return ClusterMap.of_standalone(address)
        for answer in (info, slots):
            if isinstance(answer, RedisError):
                raise ShardUnavailable(f"Redis at {host}:{port}: {answer}") from answer
        return ClusterMap.parse(info, slots, address)

    async def _forget_departed(self) -> None:
        present = {*self._seeds, *self._map.replicas, *(address for _, _, address in self._map.masters)}
        for address in self._pools.keys() - present:
            await self._pools.pop(address).close()

    def _pool(self, address: Address) -> ServerPool:
        if address not in self._pools:
            self._pools[address] = ServerPool(*address, self._connect, self._watch)
        return self._pools[address]
