"""The Redis of an upgrade: one server, or a cluster on three hosts, with the Redis users of a version or none."""

from collections.abc import Sequence
from pathlib import Path

from tests.acceptance.upgrade.versions import Version
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

_PASSWORDS = {role: f"{role}-password" for role in ("manager", "worker", "administrator", "replica")}
_MANAGERS_HOSTS, _OWN_MASTERS = (slice(0, 2), slice(2, 5)), (0, 2, 5)
"""The servers of each manager's host, and the first of each host, as in `ValkeyCluster.hosts`."""
_USERS_FILE = "users.acl"
_TESTS_USER = "user default on nopass ~* &* +@all"


class Store:
    """One server, or six of which the managers form a cluster of three masters.

    Args:
        has_users: whether programs log in as the Redis users of their roles, replicas too.
    """

    def __init__(self, directory: Path, *, in_cluster: bool, has_users: bool) -> None:
        self._directory = directory
        self._in_cluster = in_cluster
        self._has_users = has_users
        settings = {"aclfile": _USERS_FILE} if has_users else {}
        if has_users and in_cluster:
            settings |= {"masteruser": "replica", "masterauth": _PASSWORDS["replica"]}
        self._cluster = ValkeyCluster(directory / "cluster", settings=settings)
        self._servers = (
            self._cluster.servers if in_cluster else (ValkeyServer(directory / "valkey", settings=settings),)
        )

    def start(self, version: Version) -> None:
        """Start it with the users of `version`. A cluster is formed by its first manager."""
        self._write_users(version, self._servers)
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        for server in self._servers:
            server.stop()

    def set_users(self, version: Version) -> None:
        """Have every server load the users of `version`."""
        self._write_users(version, self._servers)
        if self._has_users:
            for server in self._servers:
                server.command("ACL", "LOAD")

    def restart(self) -> None:
        """Restart the server, or those of one manager's host after those of the other's."""
        if self._in_cluster:
            for number in range(len(_MANAGERS_HOSTS)):
                self.restart_host(number)
        else:
            self._servers[0].stop()
            self._servers[0].start()

    def restart_host(self, number: int, version: Version | None = None) -> None:
        """Stop the servers of a manager's host, and start them once the other hosts have all masters.

        So does an upgrade that replaces the host.

        Args:
            version: whose users they then have; None for the same as before.
        """
        servers = self._servers[_MANAGERS_HOSTS[number]]
        for server in servers:
            server.stop()
        until(lambda: len(self._cluster.masters()) == len(_OWN_MASTERS), wanted="three masters without a host")
        if version is not None:
            self._write_users(version, servers)
        for server in servers:
            server.start()
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        """Wait until every server serves, and each host of a cluster has its own master, as its managers want it."""
        if self._in_cluster:
            own = {self._servers[number] for number in _OWN_MASTERS}
            until(lambda: own <= set(self._cluster.masters()), wanted="each host's own master")
            self._cluster.wait_until_healthy()

    def manager_settings(self) -> dict[str, str]:
        """Return the settings with which a manager finds and administers it."""
        settings = {"REDIS_URL": self._url("manager")}
        if self._has_users:
            settings["CLUSTER_URL"] = self._url("administrator")
        if self._in_cluster:
            settings["CLUSTER_HOSTS"] = self._cluster.hosts
        return settings

    def worker_settings(self) -> dict[str, str]:
        return {"REDIS_URL": self._url("worker")}

    def _write_users(self, version: Version, servers: Sequence[ValkeyServer]) -> None:
        if not self._has_users:
            return
        users = version.users(self._directory, _PASSWORDS, in_cluster=self._in_cluster)
        for server in servers:
            server.directory.mkdir(parents=True, exist_ok=True)
            (server.directory / _USERS_FILE).write_text("".join(f"{line}\n" for line in (_TESTS_USER, *users)))

    def _url(self, role: str) -> str:
        login = f"{role}:{_PASSWORDS[role]}@" if self._has_users else ""
        return f"redis://{login}" + ",".join(f"127.0.0.1:{server.port}" for server in self._servers)
