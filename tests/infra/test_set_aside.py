"""What a host does after a Redis server could not read its files (`infra/host/set_aside.sh`), with a real cluster."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.redis_servers import form_cluster
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer, server_binary
from workmanager.local.valkey_cluster import ValkeyCluster

ROOT = Path(__file__).parents[2]
MASTER, REPLICA = 0, 3
CANNOT_LOAD, KILLED = 1, 9


class Host:
    """The host of a member: its programs, its configuration, and the directory of its servers."""

    def __init__(self, directory: Path, server: ValkeyServer, cluster: ValkeyCluster | None) -> None:
        self.server = server
        self.files = server.directory / "appendonlydir"
        programs, self._configuration, self._stores = (directory / name for name in ("bin", "etc", "stores"))
        for path in (programs, self._configuration, self._stores):
            path.mkdir(parents=True)
        (programs / "python3.11").write_text(f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
        (programs / "python3.11").chmod(0o755)
        (programs / "valkey-server").symlink_to(server_binary())
        (self._stores / str(server.port)).symlink_to(server.directory)
        (self._configuration / f"store-{server.port}.conf").write_text('bind "127.0.0.1"\n')
        if cluster is not None:
            settings = {"WORKMANAGER_CLUSTER_HOSTS": cluster.hosts, "WORKMANAGER_REDIS_URL": cluster.url}
            text = "".join(f"{name}={value}\n" for name, value in settings.items())
            (self._configuration / "manager.env").write_text(text)
        self._path = f"{programs}:{os.environ['PATH']}"

    def after_exit(self, status: int) -> str:
        """Do what systemd does after the server has ended with this status; return the log."""
        environ = {
            **os.environ,
            "PATH": self._path,
            "EXIT_STATUS": str(status),
            "STORES_DIRECTORY": str(self._stores),
            "CONFIGURATION_DIRECTORY": str(self._configuration),
        }
        script = str(ROOT / "infra/host/set_aside.sh")
        run = subprocess.run(
            ["bash", script, str(self.server.port)], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
        )
        return run.stderr

    def damage(self) -> None:
        """Damage the file in the middle."""
        path = max(self.files.glob("*.incr.aof"))
        path.write_bytes(b"garbage\r\n" + path.read_bytes())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    cluster = ValkeyCluster(tmp_path / "cluster")
    cluster.start()
    form_cluster(cluster.hosts, cluster.url)
    cluster.wait_until_healthy()
    yield cluster
    for server in cluster.servers:
        server.kill()


@pytest.fixture
def host(tmp_path: Path, cluster: ValkeyCluster) -> Host:
    """The host of a master that has data, and has been killed."""
    master = cluster.servers[MASTER]
    master.command("SET", "{rq:1}", "kept")
    until(lambda: cluster.servers[REPLICA].command("DBSIZE") == 1, wanted="the data at the replica")
    host = Host(tmp_path / "host", master, cluster)
    master.kill()
    return host


def _until_replaced(cluster: ValkeyCluster) -> None:
    until(lambda: cluster.servers[REPLICA] in cluster.masters(), wanted="the replica to be the master")


def test_unreadable_files_are_set_aside_if_another_member_serves_the_slots(host: Host, cluster: ValkeyCluster) -> None:
    _until_replaced(cluster)
    host.damage()
    assert "event=append_only_set_aside" in host.after_exit(CANNOT_LOAD)
    assert not host.files.exists()
    host.server.start()
    until(lambda: host.server.command("INFO", "replication")["master_link_status"] == "up", wanted="a linked replica")
    assert host.server.command("DBSIZE") == 1


def test_unreadable_files_stay_if_no_other_member_serves_the_slots(host: Host, cluster: ValkeyCluster) -> None:
    _until_replaced(cluster)
    cluster.servers[REPLICA].kill()
    host.damage()
    log = host.after_exit(CANNOT_LOAD)
    assert "event=append_only_unreadable" in log
    assert "event=append_only_kept" in log
    assert "--fix" in log
    assert host.files.exists()


def test_files_that_can_be_read_stay_whatever_ended_the_server(host: Host, cluster: ValkeyCluster) -> None:
    _until_replaced(cluster)
    assert host.after_exit(CANNOT_LOAD) == ""
    host.damage()
    assert host.after_exit(KILLED) == ""
    assert host.files.exists()


def test_the_witness_which_has_no_jobs_does_not_ask(tmp_path: Path, private_server: ValkeyServer) -> None:
    host = Host(tmp_path / "host", private_server, cluster=None)
    private_server.kill()
    host.damage()
    assert "event=append_only_set_aside" in host.after_exit(CANNOT_LOAD)
    assert not host.files.exists()
