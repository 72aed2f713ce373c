"""Six Valkey servers on this machine, over one directory, of which the managers make a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from workmanager import store_settings
from workmanager.errors import ServerError
from workmanager.local.valkey import ValkeyServer

_SERVERS = 6
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.05


class ValkeyCluster:
    """Six servers; the next ones on the same directory are the same cluster, with its jobs and its roles."""

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, inherited_fds: Sequence[int] = ()
    ) -> None:
        """`settings` are added to every server's; the servers hold the file descriptors `inherit`."""
        self.directory = directory
        self.servers = tuple(
            ValkeyServer(
                directory / str(number),
                settings={**store_settings.CLUSTER_SETTINGS, **(settings or {})},
                inherited_fds=inherited_fds,
            )
            for number in range(_SERVERS)
        )

    @property
    def url(self) -> str:
        """All members, comma-separated, as `--redis-url` takes them."""
        return ",".join(server.url for server in self.servers)

    @property
    def hosts(self) -> str:
        """As WORKMANAGER_CLUSTER_HOSTS takes them, as if they were on two managers' hosts and a witness."""
        return self._hosts(2, 3, 1)

    @property
    def equal_hosts(self) -> str:
        """The same, as if they were on three equal hosts."""
        return self._hosts(2, 2, 2)

    def start(self) -> None:
        """Starts all servers; they are a cluster once a manager has made them one.

        Raises:
            ServerError: one did not start.
        """
        for server in self.servers:
            server.start()

    def wait_until_healthy(self) -> None:
        """Returns when all six servers run, agree that every slot is served, and every replica is linked.

        Raises:
            ServerError: that was not so within 30 s.
        """
        _wait(lambda: all(map(_is_settled, self.servers)), "every slot served and every replica linked")
        _wait(lambda: all(_knows_all(server) for server in self.servers), "every server known to all")

    def repair(self) -> None:
        """Starts what ended and resumes what was paused, and returns when all is healthy."""
        for server in self.servers:
            server.resume() if server.pid else server.start()
        self.wait_until_healthy()

    def masters(self) -> tuple[ValkeyServer, ...]:
        """The servers that are masters now, by their own word; a server that does not answer is left out."""
        return tuple(server for server in self.servers if _role(server) == "master")

    def stop(self) -> None:
        """Ends all servers in order; a no-op when none runs."""
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.stop()

    def _hosts(self, *sizes: int) -> str:
        ports = iter(str(server.port) for server in self.servers)
        return ",".join("127.0.0.1:" + "+".join(next(ports) for _ in range(size)) for size in sizes)


def _is_settled(server: ValkeyServer) -> bool:
    told = server.command("CLUSTER", "INFO")
    # Where full coverage is not asked for, the state is "ok" with any slots.
    if "cluster_state:ok" not in told or f"cluster_slots_ok:{REDIS_CLUSTER_HASH_SLOTS}" not in told:
        return False
    replication = server.command("INFO", "replication")
    if replication["role"] == "slave":
        return bool(replication["master_link_status"] == "up")
    return bool(replication["connected_slaves"] >= 1)


def _knows_all(server: ValkeyServer) -> bool:
    nodes = server.command("CLUSTER", "NODES").splitlines()
    return len(nodes) == _SERVERS and not any("handshake" in node for node in nodes)


def _role(server: ValkeyServer) -> str:
    try:
        return str(server.command("ROLE")[0])
    except redis.RedisError:
        return ""


def _wait(condition: Callable[[], bool], wanted: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass  # a server that is still coming up
        if time.monotonic() > deadline:
            raise ServerError(f"the embedded cluster did not come to stand: not {wanted} after {_WAIT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
