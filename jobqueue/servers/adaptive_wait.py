"""Answers that wait until what they tell survives the loss of the server that gives them ("adaptive WAIT").

Where the server has a replica, the answer waits for it, on the connection that wrote. Where a member of a cluster has
none left, the answer is held until the server is known to be the majority's (see `UnreplicatedMaster`), by the word of the
other masters or by time; from then on it is given at once for as long as nothing changes. One plain server without a
replica answers at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError

from jobqueue.errors import JobQueueError
from jobqueue.servers.connection_pool import (
    REPLY_TIMEOUT_SECONDS,
    PinnedConnection,
    RedisCommand,
    ServerPool,
    ServerUnreachable,
    parse_info,
)
from jobqueue.servers.quorum import VIEW_COMMANDS, last_contact_with_majority
from jobqueue.servers.unreplicated_master import ReplicationState, trust_delay_seconds

WAIT_TIMEOUT_SECONDS = 2.0
"""How long linked replicas may take to confirm."""
WAIT_SLICE_SECONDS = 0.5
"""How long of it at a time: for replicas that are gone meanwhile nobody waits on."""
POLL_SECONDS = 0.25
DEFAULT_NODE_TIMEOUT_SECONDS = 15.0
"""Redis' own default, for servers that do not tell theirs (managed ones)."""
TOUCH_KEY_TTL_SECONDS = 10 * 365 * 24 * 3600

_INFO = ("INFO", "server", "replication", "stats")

log = logging.getLogger(__name__)


class NotReplicated(JobQueueError):
    """What was written may be lost with its server: no replica confirmed it, or the server may have been succeeded.

    Remedy: repeat it; what was written is found then.
    """


async def execute_replicated(
    node: ServerPool,
    *commands: RedisCommand,
    touch_key: str,
    masters: Callable[[], Sequence[ServerPool]],
    timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
) -> list[Any]:
    """Executes commands on a master; answers once all that they wrote or found is safe.

    Args:
        mark: a key in the commands' slot, of no other use. WAIT looks at what its own connection wrote, so that a
            repeat which finds everything done would not be waited for; touching the mark is a write.
        masters: those of the cluster, to be asked about one that has no replica.

    Returns:
        The answers as `Node.execute` gives them; where each is an error, nothing was waited for.

    Raises:
        ServerUnreachable: no answer in time.
        Unconfirmed: see there.
    """
    try:
        expected = await node.replication_state()
    except ServerUnreachable as error:
        raise ServerUnreachable(str(error), sent=False) from error
    if not expected.linked_replicas and not expected.in_cluster:
        return await node.execute(*commands, timeout_seconds=timeout_seconds)
    async with node.pinned_connection() as line:
        confirmation = _Confirmation(node, line, touch_key, masters)
        alone = node.unreplicated.is_trusted or not expected.linked_replicas
        checks = (_INFO,) if alone else confirmation.wait
        asked_at = time.monotonic()
        answers = await line.execute(*commands, *checks, timeout_seconds=timeout_seconds + WAIT_SLICE_SECONDS)
        answers, checked = answers[: len(commands)], answers[len(commands) :]
        if all(isinstance(answer, RedisError) for answer in answers):
            return answers
        # Of a master that has just taken the commands it is known that its cluster serves.
        if not (confirmation.is_alone(checked[0], asked_at) if alone else confirmation.has_waited(checked)):
            try:
                await confirmation.come()
            except ServerUnreachable as error:
                raise NotReplicated(str(error)) from error
        return answers


class _Confirmation:
    """Of what one connection has done so far."""

    def __init__(
        self, node: ServerPool, line: PinnedConnection, mark: str, masters: Callable[[], Sequence[ServerPool]]
    ) -> None:
        self._node = node
        self._line = line
        self._mark = mark
        self._masters = masters
        self.wait: tuple[RedisCommand, ...] = (
            ("EXPIRE", mark, TOUCH_KEY_TTL_SECONDS),
            ("WAIT", 1, int(WAIT_SLICE_SECONDS * 1000)),
        )

    def has_waited(self, answers: list[Any]) -> bool:
        """Whether the answers to `wait` say that a replica has everything."""
        touched, replicas = answers
        # An error: the master was made a replica meanwhile.
        return touched == 1 and isinstance(replicas, int) and replicas >= 1

    def is_alone(self, info: Any, asked_at: float) -> bool:
        """Whether the server says that it has no replica still, and is believed."""
        standing = self._read(info)
        return standing.is_master and not standing.linked_replicas and self._left_seconds(standing, asked_at) == 0

    async def come(self) -> None:
        """Returns when it is there.

        Raises:
            ServerUnreachable: no answer in time.
            Unconfirmed: it does not come.
        """
        node, alone = self._node, self._node.unreplicated
        if alone.trust_delay_seconds is None:
            alone.trust_delay_seconds = trust_delay_seconds(await self._node_timeout_seconds())
        begun = time.monotonic()
        wait_until = begun + WAIT_TIMEOUT_SECONDS
        while True:
            asked_at = time.monotonic()
            info, *census = await self._line.execute(_INFO, *VIEW_COMMANDS)
            standing = self._read(info)
            if not standing.is_master or (standing.in_cluster and not _serves(census[1])):
                alone.reset()
                raise NotReplicated(f"Redis at {node.address} may have been succeeded by another server")
            if standing.linked_replicas:
                alone.reset()
                if asked_at > wait_until:
                    raise NotReplicated(f"no replica of {node.address} confirmed the change")
                if await self._wait_once():
                    return
                continue
            if not standing.in_cluster:
                return
            believed = alone.is_trusted
            left = self._left_seconds(standing, asked_at)
            if left > 0:
                moment = await last_contact_with_majority(census, [one for one in self._masters() if one is not node])
                believed = alone.is_trusted  # by who asked beside us, meanwhile
                left = 0.0 if alone.confirm(moment) else left
            if left == 0:
                if not believed:
                    held_seconds = time.monotonic() - begun
                    log.warning("event=master_without_replica node=%s held_seconds=%.1f", node.address, held_seconds)
                return
            if asked_at > begun + alone.trust_delay_seconds + WAIT_TIMEOUT_SECONDS:
                raise NotReplicated(f"Redis at {node.address} has no replica, and its standing changes all the time")
            await asyncio.sleep(min(left, POLL_SECONDS))
            # A replica that is linked from now on has its time, too.
            wait_until = time.monotonic() + WAIT_TIMEOUT_SECONDS

    async def _wait_once(self) -> bool:
        answers = await self._line.execute(*self.wait)
        if answers[0] == 0:
            created, *_ = await self._line.execute(("SET", self._mark, "", "EX", TOUCH_KEY_TTL_SECONDS))
            if isinstance(created, RedisError):
                raise NotReplicated(f"Redis at {self._node.address}: {created}")
            answers = await self._line.execute(*self.wait)
        return self.has_waited(answers)

    def _left_seconds(self, standing: ReplicationState, asked_at: float) -> float:
        if not standing.in_cluster:
            return 0.0
        return self._node.unreplicated.remaining_seconds(standing, asked_at=asked_at, answered_at=time.monotonic())

    def _read(self, info: Any) -> ReplicationState:
        if isinstance(info, RedisError):
            raise NotReplicated(f"Redis at {self._node.address}: {info}")
        return ReplicationState.parse(parse_info(info))

    async def _node_timeout_seconds(self) -> float:
        (answer,) = await self._line.execute(("CONFIG", "GET", "cluster-node-timeout"))
        if isinstance(answer, RedisError) or not answer:
            return DEFAULT_NODE_TIMEOUT_SECONDS
        return int(answer[1]) / 1000


def _serves(cluster_info: Any) -> bool:
    return isinstance(cluster_info, bytes) and b"cluster_state:ok" in cluster_info
