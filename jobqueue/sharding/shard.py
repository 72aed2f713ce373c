"""One shard of the queue: runs scripts and commands on its master, and translates Redis' errors.

Hot path: see `http_enqueue` and `worker_noop` in benchmarks/README.md#what-limits-each-figure.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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
    RedisError,
    TryAgainError,
)

from jobqueue import keys
from jobqueue.backoff import jittered_seconds
from jobqueue.errors import FunctionMissing, NotPermitted, QueueFull, ShardUnavailable, UnexpectedContent
from jobqueue.servers.adaptive_wait import NotReplicated, execute_replicated
from jobqueue.servers.connection_pool import REPLY_TIMEOUT_SECONDS, RedisCommand, ServerPool
from jobqueue.servers.subscription import Message, subscription
from jobqueue.servers.topology import Topology
from jobqueue.servers.unreachable import ServerUnreachable, UserDenied
from jobqueue.sharding.script_calls import cannot_call, lacks_function
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.slot_move import SlotMove

MEMORY_LIMIT_SHARE = 0.9
"""Share of Redis' memory above which no new jobs are accepted."""
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.02, 0.5
MAX_REDIRECTS = 3
"""How many times in a row a call follows its shard to a new master at once."""

_UNAVAILABLE = (BusyLoadingError, ClusterDownError, MasterDownError, ReadOnlyError)
# Errors that redis-py has no class for: a script runs too long, the disk is full, no replica is linked, the master of a
# blocked read has stepped down.
_UNAVAILABLE_CODES = ("BUSY ", "MISCONF ", "NOREPLICAS ", "UNBLOCKED ")
# A command in a script was denied: the text of Valkey and newer Redis, and that of Redis 7.0.
_DENIED_IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")


class Shard:
    """One RQ namespace on one master.

    Attributes:
        index: its position among the shards.
        prefix: the start of all its keys.
        move: its move to another master.
    """

    def __init__(self, index: int, prefix: str, topology: Topology) -> None:
        self.index = index
        self.prefix = prefix
        self._slot = key_slot(prefix.encode())
        self.move = SlotMove(prefix)
        self._touch_key = keys.write_mark(prefix)
        self._topology = topology

    def __repr__(self) -> str:
        return f"Shard({self.index}, {self.prefix!r})"

    @property
    def clustered(self) -> bool:
        """Whether the shard is on a Redis Cluster."""
        return self._topology.clustered

    async def run(
        self,
        script: Script,
        *args: str | bytes | int | float,
        replicate: bool = False,
        needs_memory: bool = False,
        retry_seconds: float = 0.0,
    ) -> Any:
        """Run a script of this package. Every one of them may be repeated.

        Args:
            replicate: return only once the change survives the loss of the master (see `execute_replicated`).
            needs_memory: the script adds data, so do not run it if Redis' memory is nearly full (see `ensure_memory`).
            retry_seconds: how long to retry while the master is unavailable.

        Raises:
            ShardUnavailable: the master is unavailable, or the change may not survive its loss.
            NotPermitted: (a ShardUnavailable) Redis denies the user a command or a key.
            FunctionMissing: (a ShardUnavailable) nobody has loaded the functions.
            QueueFull: Redis has no memory for it.
            UnexpectedContent: it fails on what a key holds.
        """
        deadline = asyncio.get_running_loop().time() + retry_seconds
        failures, outcome_unknown, redirects_left = 0, False, MAX_REDIRECTS
        while True:
            try:
                if needs_memory:
                    await self.ensure_memory()
                return await self._run_once(script, args, replicate)
            except NotPermitted:
                raise  # a repeat would be denied, too
            except ShardUnavailable as error:
                error.outcome_unknown = outcome_unknown = outcome_unknown or error.outcome_unknown
                if isinstance(error, _Moved) and redirects_left:
                    redirects_left -= 1
                    continue
                pause_seconds = jittered_seconds(failures, FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
                if asyncio.get_running_loop().time() + pause_seconds >= deadline:
                    raise
            failures += 1
            await asyncio.sleep(pause_seconds)

    async def execute(
        self,
        *commands: RedisCommand,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
        replicate: bool = False,
        tolerate_wrong_types: bool = False,
    ) -> list[Any]:
        """Run plain commands on this shard's keys, in order, on one connection.

        Args:
            replicate: as for `run`.
            tolerate_wrong_types: answer a command on a key of another type with None, and go on with the others.

        Raises:
            ShardUnavailable: the master is unavailable, or the change may not survive its loss.
            QueueFull: Redis has no memory for one of them.
            UnexpectedContent: Redis rejected one of them.
        """
        for redirects_left in reversed(range(MAX_REDIRECTS + 1)):
            master = await self._master()
            replies = await self._execute_on(master, commands, timeout_seconds=timeout_seconds, replicate=replicate)
            if tolerate_wrong_types:
                replies = [None if _is_wrong_type(reply) else reply for reply in replies]
            try:
                for command, reply in zip(commands, replies, strict=True):
                    self._raise_error(reply, master, str(command[0]))
            except _Moved:
                if redirects_left:
                    continue
                raise
            return replies
        raise AssertionError("the loop returns or raises")

    @asynccontextmanager
    async def subscription(self, pattern: str) -> AsyncIterator[AsyncIterator[Message]]:
        """Subscribe to channels on the shard's master; see `servers.subscription`. Any member of a cluster gets all.

        Raises:
            ShardUnavailable: the master is unavailable, at first or any more.
            NotPermitted: (a ShardUnavailable) Redis denies the user the channels.
        """
        master = await self._master()
        try:
            async with subscription(master, pattern) as messages:
                yield messages
        except ServerUnreachable as error:
            raise self._unreachable(error, master, outcome_unknown=False) from error
        except RedisError as error:
            self._raise_error(error, master, "PSUBSCRIBE")

    async def ensure_memory(self) -> None:
        """Check that the master has used less than 90 % of its memory, by its INFO of the last second.

        Raises:
            QueueFull: it has used more.
            ShardUnavailable: the master is unavailable.
            NotPermitted: (a ShardUnavailable) Redis denies the user to ask for it.
        """
        master = await self._master()
        try:
            info = await master.info()
        except ServerUnreachable as error:
            raise self._unreachable(error, master, outcome_unknown=False) from error
        limit = int(info.get("maxmemory", 0))
        if limit and int(info["used_memory"]) >= MEMORY_LIMIT_SHARE * limit:
            raise QueueFull(f"Redis at {master.address} has used {int(info['used_memory']) / limit:.0%} of its memory")

    async def _run_once(self, script: Script, args: tuple[Any, ...], replicate: bool) -> Any:
        master = await self._master()
        as_function = self._topology.calls_functions
        reply = await self._call(master, script, args, replicate, as_function)
        if cannot_call(reply):
            # It has not run. The other way is the right one for this server or user, or both are closed.
            other_reply = await self._call(master, script, args, replicate, not as_function)
            if not cannot_call(other_reply):
                self._topology.calls_functions = not as_function
                reply = other_reply
            elif lacks_function(reply) or lacks_function(other_reply):
                raise FunctionMissing(
                    f"Redis at {master.address} does not have the function {script.function}, and user"
                    f" {self._topology.login.user} may run nothing else: a manager of this version with"
                    " WORKMANAGER_CLUSTER_URL loads it",
                    shard_index=self.index,
                )
        self._raise_error(reply, master, f"script {script.name}")
        if self.move.is_under_way:
            self.move.end()
        return reply

    async def _call(
        self, master: ServerPool, script: Script, args: tuple[Any, ...], replicate: bool, as_function: bool
    ) -> Any:
        """Return the reply to the script, called as a function or by its hash."""
        command = ("FCALL", script.function) if as_function else ("EVALSHA", script.sha)
        (reply,) = await self._execute_on(master, [(*command, 1, self.prefix, *args)], replicate=replicate)
        if isinstance(reply, NoScriptError):
            whole = ("EVAL", script.text, 1, self.prefix, *args)
            (reply,) = await self._execute_on(master, [whole], replicate=replicate)
        return reply

    async def _master(self) -> ServerPool:
        try:
            return await self._topology.master_of(self._slot)
        except ShardUnavailable as error:
            # The topology may raise the same error object for several shards, so it is copied.
            raise ShardUnavailable(str(error), shard_index=self.index) from error

    async def _execute_on(
        self,
        master: ServerPool,
        commands: Sequence[RedisCommand],
        *,
        timeout_seconds: float = REPLY_TIMEOUT_SECONDS,
        replicate: bool = False,
    ) -> list[Any]:
        try:
            if replicate:
                return await execute_replicated(
                    master,
                    *commands,
                    touch_key=self._touch_key,
                    masters=self._topology.masters,
                    timeout_seconds=timeout_seconds,
                )
            return await master.execute(*commands, timeout_seconds=timeout_seconds)
        except ServerUnreachable as error:
            raise self._unreachable(error, master, outcome_unknown=error.sent) from error
        except NotReplicated as error:
            raise self._unreachable(error, master, outcome_unknown=True) from error

    def _unreachable(self, error: Exception, master: ServerPool, *, outcome_unknown: bool) -> ShardUnavailable:
        if isinstance(error, UserDenied):
            return NotPermitted(str(error), shard_index=self.index)
        if self._topology.has_moved(self._slot, master):
            return _Moved(str(error), shard_index=self.index, outcome_unknown=outcome_unknown)
        return self._unavailable(error, outcome_unknown=outcome_unknown)

    def _unavailable(self, error: Exception, *, outcome_unknown: bool) -> ShardUnavailable:
        self._topology.invalidate()
        return ShardUnavailable(str(error), shard_index=self.index, outcome_unknown=outcome_unknown)

    def _raise_error(self, reply: Any, master: ServerPool, request: str) -> None:
        """Raise what an error reply means to the caller; `request` names the command or script."""
        if not isinstance(reply, RedisError):
            return
        text = str(reply)
        if isinstance(reply, MovedError):
            self._topology.invalidate(best_informed=master)
            raise _Moved(f"Redis at {master.address}: {text}", shard_index=self.index) from reply
        if isinstance(reply, (AskError, TryAgainError)):
            target = f"{reply.host}:{reply.port}" if isinstance(reply, AskError) else ""
            reason = self.move.note(master.address, target)
            raise ShardUnavailable(reason, shard_index=self.index) from reply
        if isinstance(reply, _UNAVAILABLE) or text.startswith(_UNAVAILABLE_CODES):
            raise self._unavailable(reply, outcome_unknown=False) from reply
        if isinstance(reply, OutOfMemoryError) or "OOM" in text:
            raise QueueFull(f"Redis at {master.address} has no memory left: {text}") from reply
        if isinstance(reply, NoPermissionError) or text.startswith(_DENIED_IN_SCRIPT):
            raise NotPermitted(
                self._topology.login.denied(master.address, request, text), shard_index=self.index
            ) from reply
        raise UnexpectedContent(f"Redis at {master.address} rejected {request}: {text}") from reply


def _is_wrong_type(reply: Any) -> bool:
    return isinstance(reply, RedisError) and str(reply).startswith("WRONGTYPE")


class _Moved(ShardUnavailable):
    """The shard has another master now: what may be repeated is repeated there at once."""
