"""The Redis of an upgrade: one server, or a cluster on three hosts, with the Redis users of a version or none."""

from pathlib import Path

from tests.acceptance.upgrade.versions import Version
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

_PASSWORDS = {role: f"{role}-password" for role in ("manager", "worker", "administrator", "replica")}
_FIRST_HOST, _SECOND_HOST, _OWN_MASTERS = slice(0, 2), slice(2, 5), (0, 2, 5)
"""Of `ValkeyCluster.hosts`."""
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
        settings = {}
        if has_users:
            settings = {"aclfile": str(self._users_file)}
        if has_users and in_cluster:
            settings |= {"masteruser": "replica", "masterauth": _PASSWORDS["replica"]}
        self._cluster = ValkeyCluster(directory / "cluster", settings=settings)
        self._servers = (
            self._cluster.servers if in_cluster else (ValkeyServer(directory / "valkey", settings=settings),)
        )

    def start(self, version: Version) -> None:
        """Start it with the users of `version`. A cluster is formed by its first manager."""
        self._write_users(version)
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        for server in self._servers:
            server.stop()

    def set_users(self, version: Version) -> None:
        """Have every server load the users of `version`."""
        self._write_users(version)
        if self._has_users:
            for server in self._servers:
                server.command("ACL", "LOAD")

    def restart(self) -> None:
        """Restart the server, or those of one manager's host after those of the other's.

        A host of a cluster comes back once its master's replica has taken over, as when an upgrade replaces it.
        """
        for host in (_FIRST_HOST, _SECOND_HOST) if self._in_cluster else (slice(None),):
            for server in self._servers[host]:
                server.stop()
            if self._in_cluster:
                until(lambda: len(self._cluster.masters()) == len(_OWN_MASTERS), wanted="three masters without a host")
            for server in self._servers[host]:
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

    @property
    def _users_file(self) -> Path:
        return self._directory / "users.acl"

    def _write_users(self, version: Version) -> None:
        if self._has_users:
            users = version.users(self._directory, _PASSWORDS, in_cluster=self._in_cluster)
            self._users_file.write_text("".join(f"{line}\n" for line in (_TESTS_USER, *users)))

    def _url(self, role: str) -> str:
        login = f"{role}:{_PASSWORDS[role]}@" if self._has_users else ""
        return f"redis://{login}" + ",".join(f"127.0.0.1:{server.port}" for server in self._servers)
