"""One Redis server: connections of redis-py, used directly, so that nothing is ever sent twice behind our back.

redis-py's clients retry on their own (a lost answer made one script run eight times); here each batch of commands is
written once, on one connection, and a failure is the caller's to judge.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from redis.asyncio.connection import Connection
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobqueue.errors import JobQueueError
from jobqueue.servers.unreplicated_master import ReplicationState, UnreplicatedMaster

CONNECT_TIMEOUT_SECONDS = 2.0
REPLY_TIMEOUT_SECONDS = 4.0
"""A cluster's master that is silent for so long has been succeeded meanwhile (workmanager/store_settings.py)."""
OVERDUE_SECONDS = 1.0
"""An answer that is so late makes others be asked whether the server has been succeeded meanwhile."""
CLOSE_TIMEOUT_SECONDS = 0.5
INFO_MAX_AGE_SECONDS = 1.0
"""How long what a server says about itself (replicas, memory) is believed."""

RedisCommand = Sequence[str | bytes | int | float]


class ConnectionFactory(Protocol):
    """Makes a connection to one address, with the user, password and TLS settings of the deployment."""

    def __call__(self, *, host: str, port: int) -> Connection: ...


class ServerUnreachable(JobQueueError):
    """A server did not answer.

    Attributes:
        sent: whether the commands had been written, so that they may have run.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class ServerPool:
    """A pool of connections to one server.

    Args:
        host, port: its address.
        connect: makes a connection.
        on_late: called, with this, for every answer that is `LATE_SECONDS` late.

    Attributes:
        alone: what has been seen of its time without a replica.
    """

    def __init__(
        self,
        host: str,
        port: int,
        connect: ConnectionFactory,
        on_overdue: Callable[["ServerPool"], None] = lambda _: None,
    ) -> None:
        self.host = host
        self.port = port
        self._connect = connect
        self._on_late = on_overdue
        # Of every question that is under way: the end of its time, and from when on its answer is late.
        self._under_way: dict[asyncio.Timeout, float] = {}
        # In a sixth of the time that the connections' own Python takes for a command of many arguments.
        self._serializer = HiredisRespSerializer()
        self._idle: list[Connection] = []
        self.unreplicated = UnreplicatedMaster()
        self._info: Mapping[str, str] = {}
        self._standing = ReplicationState.parse({})
        self._info_at = float("-inf")
        self._closed = False

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    async def execute(self, *commands: RedisCommand, timeout_seconds: float = REPLY_TIMEOUT_SECONDS) -> list[Any]:
        """Sends the commands in one write on one connection.

        Returns:
            The answers in order; an error answer stands as a `redis.exceptions.ResponseError`.

        Raises:
            ServerUnreachable: no connection, or no full answer in time.
        """
        connection = self._take()
        answers = await self.execute_on(connection, commands, timeout_seconds)
        await self._put_back(connection)
        return answers

    @asynccontextmanager
    async def pinned_connection(self) -> AsyncIterator["PinnedConnection"]:
        """One connection for several questions, where the answer to one is about those before it."""
        line = PinnedConnection(self, self._take())
        try:
            yield line
        finally:
            if line.is_reusable:
                await self._put_back(line.connection)

    async def info(self) -> Mapping[str, str]:
        """INFO's fields, at most a second old.

        Raises:
            ServerUnreachable: the server did not answer.
        """
        if time.monotonic() - self._info_at > INFO_MAX_AGE_SECONDS:
            answers = await self.execute(("INFO",))
            if isinstance(answers[0], RedisError):
                raise ServerUnreachable(f"Redis at {self.address}: {answers[0]}", sent=False)
            self._info = parse_info(answers[0])
            self._standing = ReplicationState.parse(self._info)
            self._info_at = time.monotonic()
        return self._info

    async def replication_state(self) -> ReplicationState:
        """What the server said of itself and its replicas, at most a second ago.

        Raises:
            ServerUnreachable: the server did not answer.
        """
        await self.info()
        return self._standing

    @property
    def has_overdue_reply(self) -> bool:
        """Whether any answer is `LATE_SECONDS` late."""
        now = asyncio.get_running_loop().time()
        return any(late_at <= now for late_at in self._under_way.values())

    def cancel_in_flight(self) -> None:
        """Ends all that is under way as if its time were over."""
        now = asyncio.get_running_loop().time()
        for limit in self._under_way:
            if not limit.expired():
                limit.reschedule(now)

    async def close(self) -> None:
        """Closes the idle connections in order; those in use close when they come back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            writer = connection._writer
            try:
                # With TLS the other side has a word in it.
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await connection.disconnect()
            except (OSError, TimeoutError):
                if writer is not None:
                    writer.transport.abort()

    async def execute_on(
        self, connection: Connection, commands: Sequence[RedisCommand], timeout_seconds: float
    ) -> list[Any]:
        """As `execute`, on that connection, which is gone where it fails."""
        loop = asyncio.get_running_loop()
        # Who gives an answer more time (a blocking read) expects it to take longer.
        late_seconds = max(OVERDUE_SECONDS, timeout_seconds - REPLY_TIMEOUT_SECONDS + OVERDUE_SECONDS)
        watch = loop.call_later(late_seconds, self._on_late, self) if late_seconds < timeout_seconds else None
        limit = asyncio.timeout(timeout_seconds)
        sent = False
        writer = connection._writer
        try:
            if writer is not None and writer.transport.is_closing():
                # Reset while nobody used it. uvloop answers a write on it with a RuntimeError.
                await _drop(connection, writer)
            async with limit:
                self._under_way[limit] = loop.time() + late_seconds
                if not connection.is_connected:
                    limit.reschedule(loop.time() + CONNECT_TIMEOUT_SECONDS)
                    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it bare
                    limit.reschedule(loop.time() + timeout_seconds)
                    writer = connection._writer
                packed = [
                    piece
                    for command in commands
                    for piece in self._serializer.pack(*command)  # type: ignore[arg-type]  # annotated as lists
                ]
                sent = True
                await connection.send_packed_command(packed, check_health=False)
                return [await _read(connection) for _ in commands]
        except (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError) as error:
            await _drop(connection, writer)
            await self._drop_idle()
            raise ServerUnreachable(f"Redis at {self.address}: {_describe(error)}", sent=sent) from error
        except BaseException:
            # Cancelled between question and answer: the connection's next answer would be somebody else's.
            await _drop(connection, writer)
            raise
        finally:
            self._under_way.pop(limit, None)
            if watch is not None:
                watch.cancel()

    def _take(self) -> Connection:
        return self._idle.pop() if self._idle else self._connect(host=self.host, port=self.port)

    async def _put_back(self, connection: Connection) -> None:
        if self._closed:
            await _drop(connection, connection._writer)
        else:
            self._idle.append(connection)

    async def _drop_idle(self) -> None:
        # What was pooled beside a broken connection is most likely broken too.
        idle, self._idle = self._idle, []
        for connection in idle:
            await _drop(connection, connection._writer)


class PinnedConnection:
    """A connection of a node, reserved for one caller (`Node.line`).

    Attributes:
        intact: whether the connection can be used by others afterwards.
    """

    def __init__(self, node: ServerPool, connection: Connection) -> None:
        self._node = node
        self.connection = connection
        self.is_reusable = True

    async def execute(self, *commands: RedisCommand, timeout_seconds: float = REPLY_TIMEOUT_SECONDS) -> list[Any]:
        """As `Node.execute`, always on this connection.

        Raises:
            ServerUnreachable: no full answer in time, now or before.
        """
        if not self.is_reusable:
            raise ServerUnreachable(f"Redis at {self._node.address}: the connection is lost", sent=False)
        self.is_reusable = False
        answers = await self._node.execute_on(self.connection, commands, timeout_seconds)
        self.is_reusable = True
        return answers


def parse_info(answer: bytes) -> dict[str, str]:
    """The `name:value` lines of INFO and CLUSTER INFO."""
    return dict(line.split(":", 1) for line in answer.decode().splitlines() if ":" in line)


async def _drop(connection: Connection, writer: asyncio.StreamWriter | None) -> None:
    """Closes it at once; `writer` was its own, which redis-py forgets where a read or a write of it has failed."""
    # One whose introduction was cut short has a writer that nobody has seen yet.
    writer = connection._writer or writer
    # Disconnecting alone lets a TLS socket linger until the other side, who may be silent, has said goodbye.
    await connection.disconnect(nowait=True)
    if writer is not None:
        writer.transport.abort()


async def _read(connection: Connection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _describe(error: BaseException) -> str:
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
