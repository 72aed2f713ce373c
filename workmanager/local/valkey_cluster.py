"""Six embedded Valkey servers on this machine, which the managers turn into a cluster: 3 masters, 3 replicas."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from workmanager import store_settings
from workmanager.errors import ServerError, UnreadableFile
from workmanager.local.valkey import ValkeyServer

log = logging.getLogger(__name__)

SERVERS = 6
HEALTHY_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.05


class ValkeyCluster:
    """Six servers. The next six in the same directory are the same cluster, with its data and its roles."""

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, inherited_fds: Sequence[int] = ()
    ) -> None:
        """Start nothing yet. The arguments are those of `ValkeyServer`, for all six servers."""
        self.directory = directory
        self.servers = tuple(
            ValkeyServer(
                directory / str(number),
                settings={**store_settings.CLUSTER_SETTINGS, **(settings or {})},
                inherited_fds=inherited_fds,
            )
            for number in range(SERVERS)
        )

    @property
    def url(self) -> str:
        """The URLs of all members, comma-separated, for `--redis-url`."""
        return ",".join(server.url for server in self.servers)

    @property
    def hosts(self) -> str:
        """The value of WORKMANAGER_CLUSTER_HOSTS, as if the servers were on the hosts of two managers and a witness."""
        return self._hosts(2, 3, 1)

    @property
    def equal_hosts(self) -> str:
        """The same, as if the servers were on three equal hosts."""
        return self._hosts(2, 2, 2)

    def start(self) -> None:
        """Start all servers, except those that cannot read their data. A manager then forms the cluster.

        Raises:
            ServerError: a server did not start for another reason.
        """
        for server in self.servers:
            try:
                server.start()
            except UnreadableFile as error:
                # Another server may have the same data, which shows once the others run.
                log.error("event=valkey_file_unreadable port=%d error=%s", server.port, error)

    def wait_until_healthy(self) -> None:
        """Wait until all six servers run, agree that every slot is served, and every replica is linked.

        Raises:
            ServerError: they did not within 30 s.
        """
        _wait(lambda: all(map(_is_healthy, self.servers)), "every slot served and every replica linked")
        _wait(lambda: all(map(_knows_all, self.servers)), "every server known to all")

    def repair(self) -> None:
        """Start servers that ended, resume paused ones, and wait until the cluster is healthy."""
        for server in self.servers:
            server.resume() if server.pid else server.start()
        self.wait_until_healthy()

    def masters(self) -> tuple[ValkeyServer, ...]:
        """Return the servers that say that they are masters now. Servers that do not answer are left out."""
        return tuple(server for server in self.servers if _role(server) == "master")

    def stop(self) -> None:
        """Stop all servers in order. Does nothing if none runs."""
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.stop()

    def _hosts(self, *sizes: int) -> str:
        ports = iter(str(server.port) for server in self.servers)
        return ",".join("127.0.0.1:" + "+".join(next(ports) for _ in range(size)) for size in sizes)


def _is_healthy(server: ValkeyServer) -> bool:
    info = server.command("CLUSTER", "INFO")
    # Without cluster-require-full-coverage, the state is "ok" with any number of slots.
    if "cluster_state:ok" not in info or f"cluster_slots_ok:{REDIS_CLUSTER_HASH_SLOTS}" not in info:
        return False
    replication = server.command("INFO", "replication")
    if replication["role"] == "slave":
        return bool(replication["master_link_status"] == "up")
    return bool(replication["connected_slaves"] >= 1)


def _knows_all(server: ValkeyServer) -> bool:
    nodes = server.command("CLUSTER", "NODES").splitlines()
    return len(nodes) == SERVERS and not any("handshake" in node for node in nodes)


def _role(server: ValkeyServer) -> str:
    try:
        return str(server.command("ROLE")[0])
    except redis.RedisError:
        return ""


def _wait(condition: Callable[[], bool], description: str) -> None:
    deadline = time.monotonic() + HEALTHY_TIMEOUT_SECONDS
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass  # a server that is still starting
        if time.monotonic() > deadline:
            raise ServerError(
                f"the embedded cluster is not healthy after {HEALTHY_TIMEOUT_SECONDS:.0f} s: not {description}"
            )
        time.sleep(POLL_SECONDS)
