"""Backups of a cluster's hosts in S3, and a new cluster that is restored from them."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.infra.emulator import Emulator
from tests.infra.tools import AWS_CLI
from tests.ports import pick_port
from tests.waiting import until
from workmanager.client import Client
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

pytestmark = pytest.mark.timeout(600)
ROOT = Path(__file__).parents[2]
BUCKET = "backups"
# Ports of each manager's servers: its master, a replica of the other's master, and on the second the witness's replica.
SERVERS = {"manager-a": {6379: 0, 6380: 1}, "manager-b": {6379: 2, 6380: 3, 6381: 4}}
# Passes each command on to the test, which has the servers.
SYSTEMCTL = """#!/bin/bash
verb="$1" && shift
for unit in "$@"; do
    [[ "$unit" = workmanager-store@* ]] || continue
    echo "$HOST $verb ${unit//[^0-9]/}" >"$CONTROL/asked"
    read -r _ <"$CONTROL/done"
done
"""


class Hosts:
    """The hosts of a cluster's two managers: the data directories of their servers, and a fake systemctl."""

    def __init__(self, directory: Path, cluster: ValkeyCluster, environ: Mapping[str, str]) -> None:
        AWS_CLI.ensure()
        self._directory, self._cluster = directory, cluster
        directory.mkdir()
        self._environ = {**os.environ, **environ, "CONTROL": str(directory), "AWS_REGION": "us-east-1"}
        self._environ["PATH"] = f"{directory}:{Path(AWS_CLI.program('aws')).parent}:{os.environ['PATH']}"
        (directory / "systemctl").write_text(SYSTEMCTL)
        (directory / "systemctl").chmod(0o755)
        for name in ("asked", "done"):
            os.mkfifo(directory / name)
        for host, servers in SERVERS.items():
            (directory / host).mkdir()
            for port, number in servers.items():
                (directory / host / str(port)).symlink_to(cluster.servers[number].directory)

    def run(self, host: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script of infra/host on a host."""
        return subprocess.run(
            ["bash", str(ROOT / "infra/host" / script), *arguments],
            env={
                **self._environ,
                "HOST": host,
                "STORES_DIRECTORY": str(self._directory / host),
                "BACKUPS": f"s3://{BUCKET}/backup",
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def serve(self) -> None:
        """Carry out the commands of systemctl until `end`."""
        while True:
            asked = (self._directory / "asked").read_text().split()
            if asked == ["end"]:
                return
            host, verb, port = asked
            server: ValkeyServer = self._cluster.servers[SERVERS[host][int(port)]]
            server.start() if verb == "start" else server.stop()
            (self._directory / "done").write_text("done\n")

    def end(self) -> None:
        """End `serve`."""
        (self._directory / "asked").write_text("end")


@contextmanager
def running(directory: Path, environ: Mapping[str, str]) -> Iterator[tuple[ValkeyCluster, Hosts]]:
    """Yield a new cluster and its hosts."""
    cluster = ValkeyCluster(directory)
    try:
        cluster.start()
        hosts = Hosts(directory.with_name(f"{directory.name}-hosts"), cluster, environ)
        serving = threading.Thread(target=hosts.serve)
        serving.start()
        try:
            formed = {"WORKMANAGER_CLUSTER_HOSTS": cluster.hosts, "WORKMANAGER_REDIS_URL": cluster.url}
            subprocess.run(
                [sys.executable, "-m", "manager.cluster"],
                env={**os.environ, **formed},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            cluster.wait_until_healthy()
            yield cluster, hosts
        finally:
            hosts.end()
            serving.join()
    finally:
        cluster.stop()


@contextmanager
def program(module: str, *arguments: str, cluster: ValkeyCluster) -> Iterator[None]:
    """Run a manager or a worker of the cluster."""
    environ = {**os.environ, "WORKMANAGER_CLUSTER_HOSTS": cluster.hosts}
    with (cluster.directory / f"{module}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--redis-url", cluster.url, *arguments], env=environ, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_a_new_cluster_continues_with_the_jobs_and_results_of_a_backup(tmp_path: Path) -> None:
    with ExitStack() as stack:
        emulator = stack.enter_context(Emulator(tmp_path))
        s3 = emulator.region("us-east-1").client("s3")
        s3.create_bucket(Bucket=BUCKET)

        with running(tmp_path / "old", emulator.environ) as (cluster, hosts):
            port = pick_port()
            with program("manager", "--port", str(port), cluster=cluster), _client(port) as client:
                done = {client.enqueue(b"%d" % number, iterations=1): b"%d" % number for number in range(40)}
                with program("worker_node", "--slots", "1", cluster=cluster):
                    until(lambda: client.status()["Jobs"] == 0, wanted="no job left")
                waiting = {client.enqueue(b"x%d" % number, iterations=1): b"x%d" % number for number in range(40)}
            for host in SERVERS:
                backed_up = hosts.run(host, "backup.sh")
                assert backed_up.returncode == 0, backed_up.stderr
        places = {
            tuple(key["Key"].split("/")[2:5:2]): "s3://{}/{}".format(BUCKET, "/".join(key["Key"].split("/")[:5]))
            for key in s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        }
        # Each job is in one backup.
        assert set(places) == {(host, "6379") for host in SERVERS}

        with running(tmp_path / "new", emulator.environ) as (cluster, hosts):
            for host in SERVERS:
                assert hosts.run(host, "restore.sh", "quiet").returncode == 0
            refused = hosts.run("manager-a", "restore.sh", "load", places["manager-b", "6379"])
            assert "is of the other manager" in refused.stderr
            refused = hosts.run("manager-a", "restore.sh", "load", f"s3://{BUCKET}/backup/none")
            assert "has no append-only files" in refused.stderr
            for host in SERVERS:
                loaded = hosts.run(host, "restore.sh", "load", places[host, "6379"])
                assert loaded.returncode == 0, loaded.stderr
            for host in SERVERS:
                assert hosts.run(host, "restore.sh", "resume").returncode == 0
            cluster.wait_until_healthy()
            assert [cluster.masters().index(cluster.servers[number]) for number in (0, 2, 5)] == [0, 1, 2]
            port = pick_port()
            with program("manager", "--port", str(port), cluster=cluster), _client(port) as client:
                assert client.status()["Jobs"] == len(waiting)
                with program("worker_node", "--slots", "1", cluster=cluster):
                    until(lambda: client.status()["Jobs"] == 0, wanted="no job left")
                pulled: dict[str, object] = {}

                def all_there() -> bool:
                    # A pull does not wait for a slow shard. Its results come with the next pull.
                    pulled.update((one.id, one.value) for one in client.pull(top=1_000))
                    return len(pulled) >= len(done) + len(waiting)

                until(all_there, wanted="the results")
            assert pulled == {
                work_id: hashlib.sha512(data).hexdigest() for work_id, data in {**done, **waiting}.items()
            }


def _client(port: int) -> Client:
    # A manager answers as soon as its cluster does.
    return Client(f"http://127.0.0.1:{port}", retry_seconds=60.0)
