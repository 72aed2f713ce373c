"""Connection pool of one Redis server, on redis-py's low-level connections. It never repeats a command on its own.

redis-py's clients retry on their own: a lost reply made one script run eight times. Here each batch of commands is
written once, on one connection, and the caller decides about a failure (docs/decisions/0001).

Hot path: see `http_enqueue` in benchmarks/README.md#what-limits-each-figure.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from redis.asyncio.connection import Connection
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoPermissionError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobqueue.servers.connection import describe, drop, read_reply, shake_hands
from jobqueue.servers.login import Login
from jobqueue.servers.round_trips import RoundTrips
from jobqueue.servers.unreachable import DatabaseRefused, ServerRefused, ServerUnreachable, UserDenied
from jobqueue.servers.unreplicated_master import ReplicationState, UnreplicatedMaster
from jobqueue.stored_values import sent_name

CONNECT_TIMEOUT_SECONDS = 2.0
REPLY_TIMEOUT_SECONDS = 4.0
"""A cluster replaces a master that is silent for this long (workmanager/store_settings.py)."""
OVERDUE_SECONDS = 1.0
"""When a reply is this late, other servers are asked whether the master has been replaced."""
CLOSE_TIMEOUT_SECONDS = 0.5
INFO_MAX_AGE_SECONDS = 1.0
"""How long a server's INFO (replicas, memory) is reused."""

RedisCommand = Sequence[str | bytes | int | float]


class ConnectionFactory(Protocol):
    """Makes a connection to one address, with the user, password and TLS settings of the deployment."""

    def __call__(self, *, host: str, port: int) -> Connection: ...


class ServerPool:
    """A pool of connections to one server.

    Args:
        host, port: its address.
        connect: makes a connection.
        on_overdue: called with this pool for each reply that is `OVERDUE_SECONDS` late.
        check: called with this pool and each new connection, before anything else is sent on it; raises `ServerRefused`
            unless the server at the address is the right one.
        round_trips: counts the calls.
        login: whose user the connections have.

    Attributes:
        unreplicated: what is known about the server's time as a master without replicas.
    """

    def __init__(
        self,
        host: str,
        port: int,
        connect: ConnectionFactory,
        on_overdue: Callable[["ServerPool"], None] = lambda _: None,
        check: Callable[["ServerPool", Connection], Awaitable[None]] | None = None,
        *,
        round_trips: RoundTrips | None = None,
        login: Login | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._connect = connect
        self._on_overdue = on_overdue
        self._check = check
        self._login = login or Login()
        self._round_trips = RoundTrips() if round_trips is None else round_trips
        # The timeout of each call in flight, and the time from which its reply is overdue.
        self._in_flight: dict[asyncio.Timeout, float] = {}
        # Packs a command of many arguments in a sixth of the time that redis-py's Python code takes.
        self._serializer = HiredisRespSerializer()
        self._idle: list[Connection] = []
        self.unreplicated = UnreplicatedMaster()
        self._info: Mapping[str, str] = {}
        self._replication_state = ReplicationState.parse({})
        self._info_at = float("-inf")
        self._closed = False

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    async def execute(self, *commands: RedisCommand, timeout_seconds: float = REPLY_TIMEOUT_SECONDS) -> list[Any]:
        """Send the commands in one write on one connection.

        Returns:
            The replies in order. An error reply is a `redis.exceptions.ResponseError` in the list.

        Raises:
            ServerUnreachable: no connection, or not all replies in time.
        """
        connection = self._take()
        replies = await self.execute_on(connection, commands, timeout_seconds)
        await self._put_back(connection)
        return replies

    @asynccontextmanager
    async def pinned_connection(self) -> AsyncIterator["PinnedConnection"]:
        """Reserve one connection for several calls, for commands such as WAIT that refer to earlier ones."""
        pinned = PinnedConnection(self, self._take())
        try:
            yield pinned
        finally:
            if pinned.is_reusable:
                await self._put_back(pinned.connection)

    async def info(self) -> Mapping[str, str]:
        """Return the fields of INFO, at most `INFO_MAX_AGE_SECONDS` old.

        Raises:
            UserDenied: the user may not ask.
            ServerUnreachable: the server did not reply.
        """
        if time.monotonic() - self._info_at > INFO_MAX_AGE_SECONDS:
            replies = await self.execute(("INFO",))
            if isinstance(replies[0], NoPermissionError):
                raise UserDenied(self._login.denied(self.address, "INFO", str(replies[0])), sent=False)
            if isinstance(replies[0], RedisError):
                raise ServerUnreachable(f"Redis at {self.address}: {replies[0]}", sent=False)
            try:
                info = parse_info(replies[0])
                self._info, self._replication_state = info, ReplicationState.parse(info)
            except (ValueError, AttributeError) as error:
                raise ServerUnreachable(f"Redis at {self.address} answers no INFO: {error!r}", sent=False) from error
            self._info_at = time.monotonic()
        return self._info

    async def replication_state(self) -> ReplicationState:
        """Return the server's role and replicas, at most `INFO_MAX_AGE_SECONDS` old.

        Raises:
            ServerUnreachable: the server did not reply.
        """
        await self.info()
        return self._replication_state

    @property
    def has_overdue_reply(self) -> bool:
        """Whether any reply is `OVERDUE_SECONDS` late."""
        now = asyncio.get_running_loop().time()
        return any(overdue_at <= now for overdue_at in self._in_flight.values())

    def cancel_in_flight(self) -> None:
        """End all calls in flight as if they had timed out."""
        now = asyncio.get_running_loop().time()
        for timeout in self._in_flight:
            if not timeout.expired():
                timeout.reschedule(now)

    async def close(self) -> None:
        """Close the idle connections; those in use are closed when they are put back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            writer = connection._writer
            try:
                # A TLS connection waits for the other side's goodbye.
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await connection.disconnect()
            except (OSError, TimeoutError):
                if writer is not None:
                    writer.transport.abort()

    async def execute_on(
        self, connection: Connection, commands: Sequence[RedisCommand], timeout_seconds: float
    ) -> list[Any]:
        """As `execute`, on the given connection, which is closed if the call fails."""
        loop = asyncio.get_running_loop()
        # A caller that allows more time (a blocking read) expects the reply later.
        overdue_seconds = max(OVERDUE_SECONDS, timeout_seconds - REPLY_TIMEOUT_SECONDS + OVERDUE_SECONDS)
        alarm = loop.call_later(overdue_seconds, self._on_overdue, self) if overdue_seconds < timeout_seconds else None
        timeout = asyncio.timeout(timeout_seconds)
        sent = False
        writer = connection._writer
        try:
            if writer is not None and writer.transport.is_closing():
                # It was reset while it lay idle. uvloop raises RuntimeError for a write on it.
                await drop(connection, writer)
            async with timeout:
                self._in_flight[timeout] = loop.time() + overdue_seconds
                if not connection.is_connected:
                    timeout.reschedule(loop.time() + CONNECT_TIMEOUT_SECONDS)
                    await self._open(connection)
                    if self._check is not None:
                        timeout.reschedule(loop.time() + min(timeout_seconds, REPLY_TIMEOUT_SECONDS))
                        await self._check(self, connection)
                    timeout.reschedule(loop.time() + timeout_seconds)
                    writer = connection._writer
                sent = True
                asked_at = time.perf_counter()
                replies = await self.ask(connection, *commands)
                if timeout_seconds <= REPLY_TIMEOUT_SECONDS:
                    self._round_trips.answered += 1
                    self._round_trips.seconds += time.perf_counter() - asked_at
                return replies
        except (RedisConnectionError, RedisTimeoutError, InvalidResponse, OSError, TimeoutError) as error:
            self._round_trips.failed += 1
            await drop(connection, writer)
            await self._drop_idle()
            raise ServerUnreachable(f"Redis at {self.address}: {describe(error)}", sent=sent) from error
        except ServerRefused:
            await drop(connection, writer)
            await self._drop_idle()
            raise
        except BaseException:
            # Cancelled between command and reply: the next reply on the connection would belong to this call.
            await drop(connection, writer)
            raise
        finally:
            self._in_flight.pop(timeout, None)
            if alarm is not None:
                alarm.cancel()

    async def ask(self, connection: Connection, *commands: RedisCommand) -> list[Any]:
        """Send the commands on an open connection of this pool and return the replies, however long they take."""
        try:
            packed = self._pack(commands)
        except UnicodeEncodeError:
            packed = self._pack([[_exact(argument) for argument in command] for command in commands])
        await connection.send_packed_command(packed, check_health=False)
        return [await read_reply(connection) for _ in commands]

    def _pack(self, commands: Sequence[RedisCommand]) -> list[Any]:
        return [
            piece
            for command in commands
            for piece in self._serializer.pack(*command)  # type: ignore[arg-type]  # annotated as lists
        ]

    async def _open(self, connection: Connection) -> None:
        connection.redis_connect_func = shake_hands
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves it bare
        except ResponseError as error:  # the reply to SELECT or CLIENT SETNAME
            raise DatabaseRefused(f"Redis at {self.address}: {error}", sent=False) from error

    def _take(self) -> Connection:
        return self._idle.pop() if self._idle else self._connect(host=self.host, port=self.port)

    async def _put_back(self, connection: Connection) -> None:
        if self._closed:
            await drop(connection, connection._writer)
        else:
            self._idle.append(connection)

    async def _drop_idle(self) -> None:
        # If one connection is broken, the idle ones most likely are, too.
        idle, self._idle = self._idle, []
        for connection in idle:
            await drop(connection, connection._writer)


class PinnedConnection:
    """One connection of a pool, reserved for one caller (`ServerPool.pinned_connection`).

    Attributes:
        is_reusable: whether the connection may go back into the pool.
    """

    def __init__(self, pool: ServerPool, connection: Connection) -> None:
        self._pool = pool
        self.connection = connection
        self.is_reusable = True

    async def execute(self, *commands: RedisCommand, timeout_seconds: float = REPLY_TIMEOUT_SECONDS) -> list[Any]:
        """As `ServerPool.execute`, always on this connection.

        Raises:
            ServerUnreachable: not all replies in time, in this call or an earlier one.
        """
        if not self.is_reusable:
            raise ServerUnreachable(f"Redis at {self._pool.address}: the connection is lost", sent=False)
        self.is_reusable = False
        replies = await self._pool.execute_on(self.connection, commands, timeout_seconds)
        self.is_reusable = True
        return replies


def parse_info(reply: bytes) -> dict[str, str]:
    """Parse the `name:value` lines of INFO and CLUSTER INFO."""
    return dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)


def _exact(argument: str | bytes | int | float) -> str | bytes | int | float:
    """Return an argument as bytes if it is a name of another program that is not UTF-8."""
    return sent_name(argument) if isinstance(argument, str) else argument
