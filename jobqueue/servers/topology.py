"""Map from hash slot to master: of a Redis Cluster, asked for again when it proves stale, or of one plain Redis."""

import asyncio
import logging
import random
import time
from collections.abc import Iterator, Mapping

from redis.asyncio.connection import Connection
from redis.exceptions import NoPermissionError

from jobqueue.errors import ShardUnavailable, WrongDatabase
from jobqueue.servers.cluster_map import (
    HASH_SLOTS,
    MAP_COMMANDS,
    Address,
    ClusterMap,
    Partitioned,
    least_outdated,
    parse_map,
)
from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.login import Login
from jobqueue.servers.round_trips import RoundTrips
from jobqueue.servers.unreachable import DatabaseRefused, ServerRefused, ServerUnreachable
from jobqueue.servers.url import parse_redis_url

MAP_TIMEOUT_SECONDS = 1.0
HEDGE_DELAY_SECONDS = 0.2
"""If a server has not replied for this long, the next one is asked as well."""
SUCCESSOR_POLL_SECONDS = 0.25
"""How often the map is asked for while a master's reply is overdue."""
RECHECK_SECONDS = 2.0
"""How often a refused server is asked whether it is a member of the cluster by now."""
NOT_CLUSTERED = "it runs without cluster-enabled, but the queue is on a Redis Cluster: restart it with cluster-enabled"


log = logging.getLogger(__name__)


class Topology:
    """The servers behind a Redis URL.

    If they are known to be a Redis Cluster, a server without cluster mode is refused: a master that comes back so takes
    writes for slots that the cluster serves elsewhere. They are known to be one if the URL has several servers, or once
    a map of a cluster has been read. Each new connection is checked.

    Args:
        url: see `parse_redis_url`.
        require_cluster: the servers are known to be a cluster, even if the URL has only one.
        setting: what gives the URL, for messages.
        role: the role of `jobqueue.acl` whose rights the caller needs, for messages.

    Attributes:
        login: the Redis user of the connections.
        calls_functions: whether scripts are called as functions on these servers, see `sharding.script_calls`.
        round_trips: counts the calls to all servers.

    Raises:
        ValueError: the URL is wrong; the message says why, and does not contain the password.
    """

    def __init__(
        self,
        url: str,
        *,
        require_cluster: bool = False,
        setting: str = "WORKMANAGER_REDIS_URL",
        role: str = "manager",
    ) -> None:
        parsed = parse_redis_url(url)
        self.login = Login(parsed.user, setting, role)
        self.calls_functions = True
        self._seeds = parsed.seeds
        self._connect = parsed.connect
        self._pools: dict[Address, ServerPool] = {}
        self.round_trips = RoundTrips()
        self._map = ClusterMap((), frozenset(), 0, False, False)
        self._stale = True
        self._best_informed: Address | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._searches: dict[ServerPool, asyncio.Task[None]] = {}
        self._requires_cluster = require_cluster or len(set(parsed.seeds)) > 1
        self._refused_at: dict[Address, float] = {}
        self._rechecking: asyncio.Task[None] | None = None

    @property
    def clustered(self) -> bool:
        """Whether the servers are a Redis Cluster; False until a map has been read."""
        return self._map.clustered

    @property
    def refused_servers(self) -> Mapping[str, str]:
        """The servers that are refused: why, by address."""
        return {f"{host}:{port}": NOT_CLUSTERED for host, port in sorted(self._refused_at)}

    def require_cluster(self, server: ServerPool) -> ShardUnavailable:
        """Refuse a server without cluster mode that holds records of a cluster, and any other. Return the error."""
        self._requires_cluster = True
        self._map, self._stale = ClusterMap((), frozenset(), 0, False, False), True
        return ShardUnavailable(self._refuse((server.host, server.port)))

    def masters_by_slot(self) -> list[str]:
        """Return the address of each slot's master, by slot; '' if no master has the slot."""
        owners = [""] * HASH_SLOTS
        for first, last, (host, port) in self._map.masters:
            owners[first : last + 1] = [f"{host}:{port}"] * (last - first + 1)
        return owners

    def invalidate(self, best_informed: ServerPool | None = None) -> None:
        """Mark the map as stale: it is asked for again before its next use.

        Args:
            best_informed: the server to ask first, if a server has redirected the caller.
        """
        self._stale = True
        if best_informed is not None:
            self._best_informed = (best_informed.host, best_informed.port)

    async def master_of(self, slot: int) -> ServerPool:
        """Return the master of `slot`.

        Raises:
            ShardUnavailable: no server replies, or no master has the slot.
        """
        if self._stale:
            await self.refresh()
        for first, last, address in self._map.masters:
            if first <= slot <= last:
                return self._pool(address)
        self._stale = True
        raise ShardUnavailable(f"no master has slot {slot}")

    def has_moved(self, slot: int, server: ServerPool) -> bool:
        """Return whether a server other than `server` is known to be the slot's master by now."""
        known = (server.host, server.port)
        return not self._stale and any(
            first <= slot <= last and address != known for first, last, address in self._map.masters
        )

    def masters(self) -> list[ServerPool]:
        """Return all masters of the map."""
        return [self._pool(address) for address in dict.fromkeys(address for _, _, address in self._map.masters)]

    async def refresh(self) -> None:
        """Ask for the map. Concurrent callers share one query.

        Raises:
            ShardUnavailable: no server replies, or none that is in the majority partition.
        """
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh_if_stale())
            # If all who wait are cancelled meanwhile, asyncio would log that nobody has read the error.
            self._refreshing.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._refreshing)

    async def close(self) -> None:
        """Close every connection."""
        own = [task for task in (self._refreshing, self._rechecking) if task is not None]
        tasks = [*self._searches.values(), *own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._pools.values():
            await server.close()

    async def _refresh_if_stale(self) -> None:
        try:
            if self._stale:
                await self._adopt(await self._query_members())
        finally:
            self._refreshing = None

    async def _adopt(self, newer: ClusterMap) -> None:
        self._map, self._stale = newer, False
        masters = {address for _, _, address in newer.masters}
        for address, server in self._pools.items():
            if address not in masters and server.has_overdue_reply:
                log.warning("event=master_replaced server=%s", server.address)
                server.cancel_in_flight()
        await self._forget_departed()

    def _on_overdue(self, server: ServerPool) -> None:
        """Look for the server's successor: if it was replaced, its overdue replies will never come."""
        if self._map.clustered and server not in self._searches:
            self._searches[server] = asyncio.create_task(self._find_successor(server))

    async def _find_successor(self, server: ServerPool) -> None:
        try:
            while server.has_overdue_reply:
                try:
                    await self._adopt(await self._query_members())
                except Partitioned:
                    server.cancel_in_flight()
                except ShardUnavailable:
                    pass  # Nobody knows of a successor: each caller waits until its own timeout.
                await asyncio.sleep(SUCCESSOR_POLL_SECONDS)
        finally:
            del self._searches[server]

    async def _query_members(self) -> ClusterMap:
        """Return the first map that can be trusted, asking one server after another without waiting for silent ones.

        A server that was down replies with an old map. That counts only if no other server has a better one.

        Raises:
            ShardUnavailable: no server replies.
            Partitioned: none of the servers that reply is in the majority partition.
        """
        addresses = self._query_order()
        queries: set[asyncio.Task[ClusterMap | ShardUnavailable]] = set()
        answers: list[ClusterMap | ShardUnavailable] = []
        try:
            while True:
                address = next(addresses, None)
                if address is not None:
                    queries.add(asyncio.create_task(self._query(address)))
                if not queries:
                    return least_outdated(answers)
                delay = None if address is None else HEDGE_DELAY_SECONDS
                done, queries = await asyncio.wait(queries, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
                answers += [query.result() for query in done]
                trusted = next(filter(self._is_up_to_date, answers), None)
                if isinstance(trusted, ClusterMap):
                    return trusted
        finally:
            for query in queries:
                query.cancel()
            await asyncio.gather(*queries, return_exceptions=True)

    def _is_up_to_date(self, answer: ClusterMap | ShardUnavailable) -> bool:
        return isinstance(answer, ClusterMap) and answer.has_majority and answer.epoch >= self._map.epoch

    def _query_order(self) -> Iterator[Address]:
        addresses = list({*self._pools, *self._seeds})
        random.shuffle(addresses)
        addresses.sort(key=lambda address: address in self._pools and self._pools[address].has_overdue_reply)
        first, self._best_informed = self._best_informed, None
        if first is not None:
            yield first
        yield from (address for address in addresses if address != first)

    async def _query(self, address: Address) -> ClusterMap | ShardUnavailable:
        try:
            replies = await self._pool(address).execute(*MAP_COMMANDS, timeout_seconds=MAP_TIMEOUT_SECONDS)
        except DatabaseRefused as error:
            return WrongDatabase(str(error))
        except ServerUnreachable as error:
            return ShardUnavailable(str(error))
        answer = parse_map(address, replies)
        denied = next((reply for reply in replies if isinstance(reply, NoPermissionError)), None)
        # Of a plain Redis, the reply to CLUSTER SLOTS is enough.
        if denied is not None and isinstance(answer, ShardUnavailable):
            return ShardUnavailable(self.login.denied("{}:{}".format(*address), "every program", str(denied)))
        if self._is_refused(answer):
            return ShardUnavailable(self._refuse(address))
        return answer

    async def _check(self, server: ServerPool, connection: Connection) -> None:
        """Check that the server on a new connection is what it must be: another may have been started in its place."""
        if not self._requires_cluster and not self._map.clustered:
            return
        address = (server.host, server.port)
        answer = parse_map(address, await server.ask(connection, *MAP_COMMANDS))
        if self._is_refused(answer):
            raise ServerRefused(self._refuse(address), sent=False)
        if isinstance(answer, ShardUnavailable):
            raise ServerUnreachable(str(answer), sent=False)
        self._end_refusal(address, "is_member")

    def _is_refused(self, answer: ClusterMap | ShardUnavailable) -> bool:
        must_be_clustered = self._requires_cluster or self._map.clustered
        return must_be_clustered and isinstance(answer, ClusterMap) and not answer.clustered

    def _refuse(self, address: Address) -> str:
        """Note that the server is refused, and return why."""
        host, port = address
        if address not in self._refused_at:
            self._refused_at[address] = time.monotonic()
            log.error("event=redis_server_refused server=%s:%d reason=%r", host, port, NOT_CLUSTERED)
        if self._rechecking is None or self._rechecking.done():
            self._rechecking = asyncio.create_task(self._recheck_refused())
        return f"Redis at {host}:{port} is refused: {NOT_CLUSTERED}"

    def _end_refusal(self, address: Address, reason: str) -> None:
        since = self._refused_at.pop(address, None)
        if since is not None:
            log.info(
                "event=redis_server_refusal_ended server=%s:%d reason=%s after_seconds=%.0f",
                *address,
                reason,
                time.monotonic() - since,
            )

    async def _recheck_refused(self) -> None:
        while self._refused_at:
            await asyncio.sleep(RECHECK_SECONDS)
            for address in list(self._refused_at):
                try:
                    # A new connection: it is checked before the command is sent.
                    await self._pool(address).execute(("PING",), timeout_seconds=MAP_TIMEOUT_SECONDS)
                except ServerRefused:
                    continue
                except ServerUnreachable:
                    self._end_refusal(address, "unreachable")

    async def _forget_departed(self) -> None:
        members = {*self._map.replicas, *(address for _, _, address in self._map.masters)}
        present = {*self._seeds, *members, *self._refused_at}
        for address in self._pools.keys() - present:
            await self._pools.pop(address).close()

    def _pool(self, address: Address) -> ServerPool:
        if address not in self._pools:
            self._pools[address] = ServerPool(
                *(*address, self._connect, self._on_overdue, self._check),
                round_trips=self.round_trips,
                login=self.login,
            )
        return self._pools[address]
