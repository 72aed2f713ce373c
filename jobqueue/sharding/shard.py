"""One shard of the queue: runs scripts and commands on the master that holds its keys, and names what went wrong."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from jobqueue import keys
from jobqueue.backoff import jittered_seconds
from jobqueue.errors import NotPermitted, QueueFull, ShardUnavailable
from jobqueue.servers.adaptive_wait import NotReplicated, execute_replicated
from jobqueue.servers.connection_pool import REPLY_TIMEOUT_SECONDS, RedisCommand, ServerPool, ServerUnreachable
from jobqueue.servers.topology import Topology
from jobqueue.sharding.scripts import Script

MEMORY_LIMIT_SHARE = 0.9
"""Share of Redis' memory from which on no new jobs are taken."""


FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.02, 0.5
MAX_REDIRECTS = 3
"""How often in a row a shard's new master is followed at once."""


_UNAVAILABLE = (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    TryAgainError,
)


# Errors that redis-py has no class for: a script runs too long, the disk refuses, no replica is linked, the master
# that was waited at steps down.
_UNAVAILABLE_CODES = ("BUSY ", "MISCONF ", "NOREPLICAS ", "UNBLOCKED ")


# Of a command within a script, by Valkey and newer Redis, and by Redis 7.0.
_DENIED_IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")


class Shard:
    """One RQ namespace on one master.

    Attributes:
        index: its place among the shards.
        prefix: what every key of it begins with.
    """

    def __init__(self, index: int, prefix: str, topology: Topology) -> None:
        self.index = index
        self.prefix = prefix
        self._slot = key_slot(prefix.encode())
        self._mark = keys.write_mark(prefix)
        self._topology = topology

    def __repr__(self) -> str:
        return f"Shard({self.index}, {self.prefix!r})"

    @property
    def clustered(self) -> bool:
        """Whether the shard is one of a Redis Cluster's."""
        return self._topology.clustered

    async def run(
        self,
        script: Script,
        *args: str | bytes | int | float,
        replicate: bool = False,
        needs_memory: bool = False,
        retry_seconds: float = 0.0,
    ) -> Any:
        """Runs a script of this package, which may be repeated without harm.

        Args:
            replicate: answer only once the change survives the loss of the master (see `execute_replicated`).
            grows: the script brings new data, so it is not run where memory is short (see `ensure_memory`).
            retry_seconds: how long to go on trying while the master is away.

        Raises:
            ShardUnavailable: the master is away, or it is not known whether the change survives it.
            NotPermitted: which is a ShardUnavailable, too: the user's rights do not suffice.
            QueueFull: Redis has no memory for it.
        """
        deadline = asyncio.get_running_loop().time() + retry_seconds
        failures, unknown, moves_left = 0, False, MAX_REDIRECTS
        while True:
            try:
                if needs_memory:
                    await self.ensure_memory()
                return await self._run_once(script, args, replicate)
            except NotPermitted:
                raise  # a repeat would be refused, too
            except ShardUnavailable as error:
                error.outcome_unknown = unknown = unknown or error.outcome_unknown
                if isinstance(error, _Moved) and moves_left:
                    moves_left -= 1
                    continue
                pause_seconds = jittered_seconds(failures, FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
                if asyncio.get_running_loop().time() + pause_seconds >= deadline:
                    raise
            failures += 1
            await asyncio.sleep(pause_seconds)

    async def execute(
        self, *commands: RedisCommand, timeout_seconds: float = REPLY_TIMEOUT_SECONDS, replicate: bool = False
    ) -> list[Any]:
        """Runs plain commands on this shard's keys, in order, on one connection.

        Args:
            replicate: as for `run`.

        Raises:
            ShardUnavailable: the master is away, or it is not known whether the change survives it.
            QueueFull: Redis has no memory for one of them.
            redis.exceptions.ResponseError: Redis refused one of them.
        """
        for moves_left in reversed(range(MAX_REDIRECTS + 1)):
            node = await self._node()
            answers = await self._execute_on(node, commands, timeout_seconds=timeout_seconds, replicate=replicate)
            try:
                for command, answer in zip(commands, answers, strict=True):
                    self._raise_error(answer, node, str(command[0]))
            except _Moved:
                if moves_left:
                    continue
                raise
            return answers
        raise AssertionError("the loop returns or raises")

    async def ensure_memory(self) -> None:
        """Raises QueueFull where the master has used 90 % of its memory or more (looked at once a second)."""
        node = await self._node()
        try:
            info = await node.info()
        except ServerUnreachable as error:
            raise self._unreachable(error, node, unknown=False) from error
        most = int(info.get("maxmemory", 0))
        if most and int(info["used_memory"]) >= MEMORY_LIMIT_SHARE * most:
            raise QueueFull(f"Redis at {node.address} has used {int(info['used_memory']) / most:.0%} of its memory")

    async def _run_once(self, script: Script, args: tuple[Any, ...], replicate: bool) -> Any:
        node = await self._node()
        (answer,) = await self._execute_on(node, [("EVALSHA", script.sha, 1, self.prefix, *args)], replicate=replicate)
        if isinstance(answer, NoScriptError):
            command = ("EVAL", script.text, 1, self.prefix, *args)
            (answer,) = await self._execute_on(node, [command], replicate=replicate)
        self._raise_error(answer, node, f"script {script.name}")
        return answer

    async def _node(self) -> ServerPool:
        try:
            return await self._topology.master_of(self._slot)
        except ShardUnavailable as error:
            # Others may have been told the same one.
            raise ShardUnavailable(str(error), shard_index=self.index) from error

    async def _execute_on(
        self,
        node: ServerPool,
        commands: Sequence[RedisCommand],
        *,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
        replicate: bool = False,
    ) -> list[Any]:
        try:
            if replicate:
                return await execute_replicated(
                    node,
                    *commands,
                    touch_key=self._mark,
                    masters=self._topology.masters,
                    timeout_seconds=timeout_seconds,
                )
            return await node.execute(*commands, timeout_seconds=timeout_seconds)
        except ServerUnreachable as error:
            raise self._unreachable(error, node, unknown=error.sent) from error
        except NotReplicated as error:
            raise self._unreachable(error, node, unknown=True) from error

    def _unreachable(self, error: Exception, node: ServerPool, *, unknown: bool) -> ShardUnavailable:
        if self._topology.has_moved(self._slot, node):
            return _Moved(str(error), shard_index=self.index, outcome_unknown=unknown)
        return self._unavailable(error, unknown=unknown)

    def _unavailable(self, error: Exception, *, unknown: bool) -> ShardUnavailable:
        self._topology.invalidate()
        return ShardUnavailable(str(error), shard_index=self.index, outcome_unknown=unknown)

    def _raise_error(self, answer: Any, node: ServerPool, what: str) -> None:
        if isinstance(answer, MovedError):
            self._topology.invalidate(best_informed=node)
            raise _Moved(f"Redis at {node.address}: {answer}", shard_index=self.index) from answer
        if isinstance(answer, _UNAVAILABLE) or (
            isinstance(answer, ResponseError) and str(answer).startswith(_UNAVAILABLE_CODES)
        ):
            raise self._unavailable(answer, unknown=False) from answer
        if isinstance(answer, OutOfMemoryError) or (isinstance(answer, ResponseError) and "OOM" in str(answer)):
            raise QueueFull(f"Redis has no memory left: {answer}") from answer
        if isinstance(answer, NoPermissionError) or (
            isinstance(answer, ResponseError) and str(answer).startswith(_DENIED_IN_SCRIPT)
        ):
            raise NotPermitted(
                f"Redis at {node.address} refuses user {self._topology.user} what {what} needs ({answer}): write the"
                " users anew with python -m jobqueue.acl, and have every server read them (ACL LOAD)",
                shard_index=self.index,
            ) from answer
        if isinstance(answer, ResponseError):
            raise answer


class _Moved(ShardUnavailable):
    """Another server is the shard's master now: what may be repeated is repeated there at once."""
