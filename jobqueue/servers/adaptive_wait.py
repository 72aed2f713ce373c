"""Answers that wait until what they tell survives the loss of the server that gives them ("adaptive WAIT").

Where the server has a replica, the answer waits for it, on the connection that wrote. Where a member of a cluster has
none left, the answer is held until the server is known to be the majority's (see `LoneMaster`), by the word of the
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
from jobqueue.servers.connection_pool import ANSWER_SECONDS, Command, Line, Node, NodeUnreachable, read_fields
from jobqueue.servers.quorum import QUESTIONS, heard_at
from jobqueue.servers.unreplicated_master import Standing, hold_seconds

WAIT_SECONDS = 2.0
"""How long linked replicas may take to confirm."""
SLICE_SECONDS = 0.5
"""How long of it at a time: for replicas that are gone meanwhile nobody waits on."""
LOOK_SECONDS = 0.25
FALLBACK_NODE_TIMEOUT_SECONDS = 15.0
"""Redis' own default, for servers that do not tell theirs (managed ones)."""
MARK_SECONDS = 10 * 365 * 24 * 3600

_INFO = ("INFO", "server", "replication", "stats")

log = logging.getLogger(__name__)


class Unconfirmed(JobQueueError):
    """What was written may be lost with its server: no replica confirmed it, or the server may have been succeeded.

    Remedy: repeat it; what was written is found then.
    """


async def execute_confirmed(
    node: Node,
    *commands: Command,
    mark: str,
    masters: Callable[[], Sequence[Node]],
    timeout_seconds: float = ANSWER_SECONDS,
) -> list[Any]:
    """Executes commands on a master; answers once all that they wrote or found is safe.

    Args:
        mark: a key in the commands' slot, of no other use. WAIT looks at what its own connection wrote, so that a
            repeat which finds everything done would not be waited for; touching the mark is a write.
        masters: those of the cluster, to be asked about one that has no replica.

    Returns:
        The answers as `Node.execute` gives them; where each is an error, nothing was waited for.

    Raises:
        NodeUnreachable: no answer in time.
        Unconfirmed: see there.
    """
    try:
        expected = await node.standing()
    except NodeUnreachable as error:
        raise NodeUnreachable(str(error), sent=False) from error
    if not expected.linked and not expected.clustered:
        return await node.execute(*commands, timeout_seconds=timeout_seconds)
    async with node.line() as line:
        confirmation = _Confirmation(node, line, mark, masters)
        alone = node.alone.believed or not expected.linked
        checks = (_INFO,) if alone else confirmation.wait
        asked_at = time.monotonic()
        answers = await line.execute(*commands, *checks, timeout_seconds=timeout_seconds + SLICE_SECONDS)
        answers, checked = answers[: len(commands)], answers[len(commands) :]
        if all(isinstance(answer, RedisError) for answer in answers):
            return answers
        # Of a master that has just taken the commands it is known that its cluster serves.
        if not (confirmation.is_alone(checked[0], asked_at) if alone else confirmation.has_waited(checked)):
            try:
                await confirmation.come()
            except NodeUnreachable as error:
                raise Unconfirmed(str(error)) from error
        return answers


class _Confirmation:
    """Of what one connection has done so far."""

    def __init__(self, node: Node, line: Line, mark: str, masters: Callable[[], Sequence[Node]]) -> None:
        self._node = node
        self._line = line
        self._mark = mark
        self._masters = masters
        self.wait: tuple[Command, ...] = (
            ("EXPIRE", mark, MARK_SECONDS),
            ("WAIT", 1, int(SLICE_SECONDS * 1000)),
        )

    def has_waited(self, answers: list[Any]) -> bool:
        """Whether the answers to `wait` say that a replica has everything."""
        touched, replicas = answers
        # An error: the master was made a replica meanwhile.
        return touched == 1 and isinstance(replicas, int) and replicas >= 1

    def is_alone(self, info: Any, asked_at: float) -> bool:
        """Whether the server says that it has no replica still, and is believed."""
        standing = self._read(info)
        return standing.master and not standing.linked and self._left_seconds(standing, asked_at) == 0

    async def come(self) -> None:
        """Returns when it is there.

        Raises:
            NodeUnreachable: no answer in time.
            Unconfirmed: it does not come.
        """
        node, alone = self._node, self._node.alone
        if alone.hold is None:
            alone.hold = hold_seconds(await self._node_timeout_seconds())
        begun = time.monotonic()
        wait_until = begun + WAIT_SECONDS
        while True:
            asked_at = time.monotonic()
            info, *census = await self._line.execute(_INFO, *QUESTIONS)
            standing = self._read(info)
            if not standing.master or (standing.clustered and not _serves(census[1])):
                alone.forget()
                raise Unconfirmed(f"Redis at {node.address} may have been succeeded by another server")
            if standing.linked:
                alone.forget()
                if asked_at > wait_until:
                    raise Unconfirmed(f"no replica of {node.address} confirmed the change")
                if await self._wait_once():
                    return
                continue
            if not standing.clustered:
                return
            believed = alone.believed
            left = self._left_seconds(standing, asked_at)
            if left > 0:
                moment = await heard_at(census, [one for one in self._masters() if one is not node])
                believed = alone.believed  # by who asked beside us, meanwhile
                left = 0.0 if alone.uphold(moment) else left
            if left == 0:
                if not believed:
                    held_seconds = time.monotonic() - begun
                    log.warning("event=master_without_replica node=%s held_seconds=%.1f", node.address, held_seconds)
                return
            if asked_at > begun + alone.hold + WAIT_SECONDS:
                raise Unconfirmed(f"Redis at {node.address} has no replica, and its standing changes all the time")
            await asyncio.sleep(min(left, LOOK_SECONDS))
            # A replica that is linked from now on has its time, too.
            wait_until = time.monotonic() + WAIT_SECONDS

    async def _wait_once(self) -> bool:
        answers = await self._line.execute(*self.wait)
        if answers[0] == 0:
            created, *_ = await self._line.execute(("SET", self._mark, "", "EX", MARK_SECONDS))
            if isinstance(created, RedisError):
                raise Unconfirmed(f"Redis at {self._node.address}: {created}")
            answers = await self._line.execute(*self.wait)
        return self.has_waited(answers)

    def _left_seconds(self, standing: Standing, asked_at: float) -> float:
        if not standing.clustered:
            return 0.0
        return self._node.alone.left_seconds(standing, asked_at=asked_at, answered_at=time.monotonic())

    def _read(self, info: Any) -> Standing:
        if isinstance(info, RedisError):
            raise Unconfirmed(f"Redis at {self._node.address}: {info}")
        return Standing.read(read_fields(info))

    async def _node_timeout_seconds(self) -> float:
        (answer,) = await self._line.execute(("CONFIG", "GET", "cluster-node-timeout"))
        if isinstance(answer, RedisError) or not answer:
            return FALLBACK_NODE_TIMEOUT_SECONDS
        return int(answer[1]) / 1000


def _serves(cluster_info: Any) -> bool:
    return isinstance(cluster_info, bytes) and b"cluster_state:ok" in cluster_info
