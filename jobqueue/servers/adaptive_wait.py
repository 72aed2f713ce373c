"""Synchronous replication ("adaptive WAIT"): delays a reply until the write survives the loss of its master.

- If the master has a replica, the reply waits for it, on the connection that wrote.
- If a cluster's master has no replica left, the reply waits until the master is trusted not to have been replaced (see
  `UnreplicatedMaster`). While nothing changes, later replies are immediate.
- A plain Redis without a replica replies at once.

docs/decisions/0005 has the reasons.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import AskError, RedisError

from jobqueue.errors import JobQueueError
from jobqueue.servers.connection_pool import (
    REPLY_TIMEOUT_SECONDS,
    PinnedConnection,
    RedisCommand,
    ServerPool,
    parse_info,
)
from jobqueue.servers.quorum import VIEW_COMMANDS, last_contact_with_majority
from jobqueue.servers.unreachable import ServerUnreachable, UserDenied
from jobqueue.servers.unreplicated_master import ReplicationState, trust_delay_seconds

WAIT_TIMEOUT_SECONDS = 2.0
"""How long linked replicas may take to confirm."""
WAIT_SLICE_SECONDS = 0.5
"""Timeout of one WAIT command. After each, the server's replicas are checked, because one may have gone away."""
POLL_SECONDS = 0.25
"""Interval of the checks of a master without replicas, until it is trusted."""
DEFAULT_NODE_TIMEOUT_SECONDS = 15.0
"""Redis' default `cluster-node-timeout`, for servers that do not allow CONFIG GET (managed ones)."""
TOUCH_KEY_TTL_SECONDS = 10 * 365 * 24 * 3600

_INFO = ("INFO", "server", "replication", "stats")

log = logging.getLogger(__name__)


class NotReplicated(JobQueueError):
    """The write may be lost with its server: no replica confirmed it, or the server may have been replaced.

    Remedy: repeat it; every write of this package may be repeated.
    """


async def execute_replicated(
    server: ServerPool,
    *commands: RedisCommand,
    touch_key: str,
    masters: Callable[[], Sequence[ServerPool]],
    timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
) -> list[Any]:
    """Execute commands on a master; return once everything that they wrote or found is safe.

    Args:
        touch_key: a key in the commands' slot that is used for nothing else. WAIT only waits for writes of its own
            connection, so a repeated command that finds its work done would not be waited for. Touching this key is a
            write.
        masters: returns the cluster's masters, which are asked about a master that has no replica.

    Returns:
        The replies, as `ServerPool.execute` returns them. If all of them are errors, nothing was waited for.

    Raises:
        ServerUnreachable: no reply in time.
        NotReplicated: the write is not known to be safe.
    """
    try:
        expected = await server.replication_state()
    except UserDenied:
        raise
    except ServerUnreachable as error:
        raise ServerUnreachable(str(error), sent=False) from error
    if not expected.linked_replicas and not expected.in_cluster:
        return await server.execute(*commands, timeout_seconds=timeout_seconds)
    async with server.pinned_connection() as connection:
        confirmation = _Confirmation(server, connection, touch_key, masters)
        expects_no_replica = server.unreplicated.is_trusted or not expected.linked_replicas
        checks = (_INFO,) if expects_no_replica else confirmation.wait
        asked_at = time.monotonic()
        replies = await connection.execute(*commands, *checks, timeout_seconds=timeout_seconds + WAIT_SLICE_SECONDS)
        replies, checked = replies[: len(commands)], replies[len(commands) :]
        if all(isinstance(reply, RedisError) for reply in replies):
            return replies
        # A master that has just executed the commands is in a cluster that serves: that need not be checked.
        if expects_no_replica:
            is_safe = confirmation.is_trusted_alone(checked[0], asked_at)
        else:
            is_safe = confirmation.is_on_a_replica(checked)
        if not is_safe:
            try:
                await confirmation.await_confirmation()
            except ServerUnreachable as error:
                raise NotReplicated(str(error)) from error
        return replies


class _Confirmation:
    """Finds out whether the writes made so far on one connection are safe.

    Attributes:
        wait: the commands that wait for a replica.
    """

    def __init__(
        self,
        server: ServerPool,
        connection: PinnedConnection,
        touch_key: str,
        masters: Callable[[], Sequence[ServerPool]],
    ) -> None:
        self._server = server
        self._connection = connection
        self._touch_key = touch_key
        self._masters = masters
        self._started_at = 0.0
        self.wait: tuple[RedisCommand, ...] = (
            ("EXPIRE", touch_key, TOUCH_KEY_TTL_SECONDS),
            ("WAIT", 1, int(WAIT_SLICE_SECONDS * 1000)),
        )

    def is_on_a_replica(self, replies: list[Any]) -> bool:
        """Return whether a replica has all writes, by the replies to `wait`.

        Raises:
            NotReplicated: the keys have been moved to another master, or are about to be.
        """
        touched, replicas = replies
        if isinstance(touched, AskError):  # or its subclass MovedError
            raise NotReplicated(f"Redis at {self._server.address}: {touched}")
        # WAIT fails if the master has become a replica meanwhile.
        return touched == 1 and isinstance(replicas, int) and replicas >= 1

    def is_trusted_alone(self, info: Any, asked_at: float) -> bool:
        """Return whether the server is still a master without replicas, and trusted as such."""
        state = self._parse(info)
        return state.is_master and not state.linked_replicas and self._remaining_seconds(state, asked_at) == 0

    async def await_confirmation(self) -> None:
        """Wait until the writes are safe.

        Raises:
            ServerUnreachable: no reply in time.
            NotReplicated: they are not confirmed in time, or the server is no master any more.
        """
        trust_delay = await self._trust_delay_seconds()
        self._started_at = time.monotonic()
        wait_until = self._started_at + WAIT_TIMEOUT_SECONDS
        while True:
            asked_at = time.monotonic()
            info, *view_replies = await self._connection.execute(_INFO, *VIEW_COMMANDS)
            state = self._parse(info)
            self._require_serving_master(state, cluster_info=view_replies[1])
            if state.linked_replicas:
                if await self._reaches_a_replica(has_time=asked_at <= wait_until):
                    return
                continue
            if not state.in_cluster:
                return
            remaining = await self._seconds_until_trusted(state, view_replies, asked_at)
            if remaining == 0:
                return
            if asked_at > self._started_at + trust_delay + WAIT_TIMEOUT_SECONDS:
                raise NotReplicated(f"Redis at {self._server.address} has no replica, and its state keeps changing")
            await asyncio.sleep(min(remaining, POLL_SECONDS))
            # A replica that is linked from now on gets the full time.
            wait_until = time.monotonic() + WAIT_TIMEOUT_SECONDS

    def _require_serving_master(self, state: ReplicationState, cluster_info: Any) -> None:
        if not state.is_master or (state.in_cluster and not _has_majority(cluster_info)):
            self._server.unreplicated.reset()
            raise NotReplicated(f"Redis at {self._server.address} may have been replaced by another master")

    async def _reaches_a_replica(self, *, has_time: bool) -> bool:
        self._server.unreplicated.reset()
        if not has_time:
            raise NotReplicated(f"no replica of Redis at {self._server.address} confirmed the write in time")
        replies = await self._connection.execute(*self.wait)
        if replies[0] == 0:
            created, *_ = await self._connection.execute(("SET", self._touch_key, "", "EX", TOUCH_KEY_TTL_SECONDS))
            if isinstance(created, RedisError):
                raise NotReplicated(f"Redis at {self._server.address}: {created}")
            replies = await self._connection.execute(*self.wait)
        return self.is_on_a_replica(replies)

    async def _seconds_until_trusted(
        self, state: ReplicationState, view_replies: Sequence[Any], asked_at: float
    ) -> float:
        master = self._server.unreplicated
        was_trusted = master.is_trusted
        remaining = self._remaining_seconds(state, asked_at)
        if remaining > 0:
            others = [server for server in self._masters() if server is not self._server]
            contact_time = await last_contact_with_majority(view_replies, others)
            was_trusted = master.is_trusted  # a concurrent call may have found out meanwhile
            remaining = 0.0 if master.confirm(contact_time) else remaining
        if remaining == 0 and not was_trusted:
            held_seconds = time.monotonic() - self._started_at
            log.warning("event=master_without_replica server=%s held_seconds=%.1f", self._server.address, held_seconds)
        return remaining

    def _remaining_seconds(self, state: ReplicationState, asked_at: float) -> float:
        if not state.in_cluster:
            return 0.0
        return self._server.unreplicated.remaining_seconds(state, asked_at=asked_at, answered_at=time.monotonic())

    def _parse(self, info: Any) -> ReplicationState:
        if isinstance(info, RedisError):
            raise NotReplicated(f"Redis at {self._server.address}: {info}")
        return ReplicationState.parse(parse_info(info))

    async def _trust_delay_seconds(self) -> float:
        master = self._server.unreplicated
        if master.trust_delay_seconds is None:
            (reply,) = await self._connection.execute(("CONFIG", "GET", "cluster-node-timeout"))
            is_known = reply and not isinstance(reply, RedisError)
            timeout_seconds = int(reply[1]) / 1000 if is_known else DEFAULT_NODE_TIMEOUT_SECONDS
            master.trust_delay_seconds = trust_delay_seconds(timeout_seconds)
        return master.trust_delay_seconds


def _has_majority(cluster_info: Any) -> bool:
    return isinstance(cluster_info, bytes) and b"cluster_state:ok" in cluster_info
