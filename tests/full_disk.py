"""A full disk for one server, without a file system of its own: its files may not grow any more (RLIMIT_FSIZE).

A write is cut short at the limit, and the next one fails, as on a full disk. The embedded servers are started through
Python, which ignores the signal that would otherwise end them (SIGXFSZ).
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import redis

from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

_ROOM_BYTES = 20_000
_TOO_LARGE = "x" * 3 * _ROOM_BYTES


@contextmanager
def full_disk(server: ValkeyServer) -> Iterator[None]:
    """Let the server's files grow by a few kilobytes at most while the block runs."""
    assert server.pid is not None
    with no_room_for(server.pid, server.directory):
        yield


@contextmanager
def no_room_for(pid: int, directory: Path) -> Iterator[None]:
    """The same for the server with this process id and data directory. It must not end meanwhile."""
    _, hard_limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in (directory / "appendonlydir").iterdir())
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + _ROOM_BYTES, hard_limit))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard_limit, hard_limit))


def cut_a_write_short(server: ValkeyServer, key: str) -> None:
    """Write more than fits on a full disk to `key`, which keeps its value once there is room again."""
    server.command("SET", key, _TOO_LARGE)
    until(lambda: _status(server) == "err", wanted="a write to the append-only file that fails")
    # Refused, and counted by the server.
    with suppress(redis.ResponseError):
        server.command("SET", key, "never")


def until_written(server: ValkeyServer) -> None:
    """Wait until the server has written what did not fit."""
    until(lambda: _status(server) == "ok", wanted="an append-only file with all writes")


def _status(server: ValkeyServer) -> str:
    return str(server.command("INFO", "persistence")["aof_last_write_status"])
