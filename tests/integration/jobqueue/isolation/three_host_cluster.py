"""A Redis cluster whose hosts are network namespaces, so that a test can disconnect a host from the others.

    host 1: master A    host 2: A's replica, master B    host 3: witness    host 4: room for a client

Host 4 also has a direct link to host 1. The process must be root, in mount and network namespaces of its own
(`unshare`).
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import redis
from redis.crc import key_slot

from tests.waiting import until
from workmanager import store_settings
from workmanager.local.valkey import server_binary

PORT = 7000
LAST_SLOT_OF_A, LAST_SLOT_OF_B = 8191, 16_382
BALLAST_KEYS, BALLAST_BYTES = 64, 2**20
LINK_SECONDS = 60.0
FAILOVER_SECONDS = 6.0
"""Time after which a manual failover is requested again. Redis gives up after 5 s."""
_DROP_REPLICAS = "import redis, sys; redis.Redis(sys.argv[1], int(sys.argv[2])).client_kill_filter(_type='replica')"


def address(host: int) -> str:
    return f"10.9.0.{host}"


def run(*command: str) -> None:
    subprocess.run(command, check=True)


class Server:
    """A Redis server on one of the hosts."""

    def __init__(self, directory: Path, host: int, number: int) -> None:
        self.host = host
        self.port = PORT + number
        self._directory = directory / str(number)
        self._directory.mkdir()
        settings = {
            **store_settings.REDIS_SETTINGS,
            **store_settings.CLUSTER_SETTINGS,
            "bind": address(host),
            "port": str(self.port),
        }
        settings |= {"dir": str(self._directory), "protected-mode": "no"}
        (self._directory / "redis.conf").write_text(store_settings.render(settings))
        self.start()

    def start(self) -> None:
        with (self._directory / "log").open("ab") as output:
            command = ["ip", "netns", "exec", f"h{self.host}", server_binary(), str(self._directory / "redis.conf")]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        until(self.responds, wanted=f"server {self.port}")

    def responds(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.RedisError:
            return False

    def command(self, *command: str | int) -> object:
        with redis.Redis(address(self.host), self.port, socket_timeout=10, decode_responses=True) as client:
            return client.execute_command(*command)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def is_linked_replica(self) -> bool:
        info = self.command("INFO", "replication")
        assert isinstance(info, dict)
        return bool(info["role"] == "slave" and info["master_link_status"] == "up")

    def wait_for_replication_link(self) -> None:
        """Return as soon as the server reports a link to its master."""
        deadline = time.monotonic() + LINK_SECONDS
        with redis.Redis(address(self.host), self.port, socket_timeout=10, decode_responses=True) as client:
            while client.info("replication").get("master_link_status") != "up":
                assert time.monotonic() < deadline, f"{self.port} has no link to its master"

    def reports_cluster_ok(self) -> bool:
        return "cluster_state:ok" in str(self.command("CLUSTER", "INFO"))

    def is_master(self) -> bool:
        role = self.command("ROLE")
        assert isinstance(role, list)
        return bool(role[0] == "master")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The jobs whose enqueue was acknowledged to the client, and the prefix of their shard."""

    prefix: str
    ids: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        prefix, *ids = path.read_text().split("\n")[:-1]
        return cls(prefix, tuple(ids))


class ThreeHostCluster:
    """The hosts and their servers: master A on host 1, its replica and master B on host 2, a witness on host 3."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        Path("/run/netns").mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
        run("ip", "link", "add", "lan", "type", "bridge")
        run("ip", "addr", "add", f"{address(254)}/24", "dev", "lan")
        run("ip", "link", "set", "lan", "up")
        for host in (1, 2, 3, 4):
            run("ip", "netns", "add", f"h{host}")
            run("ip", "link", "add", f"port{host}", "type", "veth", "peer", "name", "eth0", "netns", f"h{host}")
            run("ip", "link", "set", f"port{host}", "master", "lan", "up")
            for words in (f"addr add {address(host)}/24 dev eth0", "link set eth0 up", "link set lo up"):
                run("ip", "-n", f"h{host}", *words.split())
        # Hosts 1 and 4 reach each other over a link of their own.
        run("ip", "link", "add", "own1", "netns", "h1", "type", "veth", "peer", "name", "own4", "netns", "h4")
        for host, other in ((1, 4), (4, 1)):
            run(*f"ip -n h{host} link set own{host} up".split())
            run(*f"ip -n h{host} route add {address(other)} dev own{host} src {address(host)}".split())
        self.a, self.b, self.replica, self.witness = (
            Server(directory, host, number) for number, host in enumerate((1, 2, 2, 3))
        )
        self._form()

    def _form(self) -> None:
        slots = (
            (self.a, 0, LAST_SLOT_OF_A),
            (self.b, LAST_SLOT_OF_A + 1, LAST_SLOT_OF_B),
            (self.witness, LAST_SLOT_OF_B + 1, 16_383),
        )
        for epoch, (member, first, last) in enumerate(slots, 1):
            member.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            member.command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for member in (self.b, self.replica, self.witness):
            member.command("CLUSTER", "MEET", address(1), self.a.port)
        until(
            lambda: len(str(self.replica.command("CLUSTER", "NODES")).splitlines()) == 4,
            wanted="four servers that know each other",
        )
        self.replica.command("CLUSTER", "REPLICATE", str(self.a.command("CLUSTER", "MYID")))
        until(self.is_healthy, wanted="a healthy cluster")
        self._add_ballast()

    def _add_ballast(self) -> None:
        """Give A so much data that a full copy to its replica takes a while, during which jobs arrive."""
        with redis.Redis(address(self.a.host), self.a.port) as client:
            names = (f"ballast-{number}" for number in itertools.count())
            of_a = (name for name in names if key_slot(name.encode()) <= LAST_SLOT_OF_A)
            for name in itertools.islice(of_a, BALLAST_KEYS):
                client.set(name, os.urandom(BALLAST_BYTES))

    def is_healthy(self) -> bool:
        """Return whether A is master of its shards with a linked replica, and all masters report a healthy cluster."""
        masters = (self.a, self.b, self.witness)
        healthy = all(master.reports_cluster_ok() for master in masters)
        return healthy and self.a.is_master() and self.replica.is_linked_replica()

    def owner(self) -> Server | None:
        """Return the master of A's shards once the failover is over: the other server is its linked replica."""
        for owner, other in ((self.a, self.replica), (self.replica, self.a)):
            if owner.is_master() and owner.reports_cluster_ok() and other.is_linked_replica():
                return owner
        return None

    def restore(self) -> None:
        """Make A master of its shards again."""
        until(self.a.responds, wanted="server A")
        requested_at = float("-inf")

        def restored() -> bool:
            nonlocal requested_at
            if time.monotonic() > requested_at + FAILOVER_SECONDS and self.a.is_linked_replica():
                self.a.command("CLUSTER", "FAILOVER")
                requested_at = time.monotonic()
            return self.is_healthy()

        until(restored, wanted="A as master with its replica")

    def isolate_first_host(self, seconds: float, *, drop_replica_link: bool, wait_for_promotion: bool) -> None:
        """Disconnect host 1 from the network for `seconds`.

        Args:
            drop_replica_link: close A's connection to its replica at once, instead of leaving it to a timeout.
            wait_for_promotion: stay disconnected until A's replica has been promoted.
        """
        run("ip", "link", "set", "port1", "down")
        if drop_replica_link:
            run("ip", "netns", "exec", "h1", sys.executable, "-c", _DROP_REPLICAS, address(1), str(self.a.port))
        time.sleep(seconds)
        if wait_for_promotion:
            until(self.replica.is_master, wanted="the promotion of A's replica")
        run("ip", "link", "set", "port1", "up")

    @contextmanager
    def client(self, host: int, *options: str) -> Iterator[Path]:
        """Run a client that enqueues to A's shard on that host; return the file with its output."""
        url = f"redis://{address(1)}:{self.a.port},{address(2)}:{self.b.port}"
        arguments = [url, address(1), *options]
        path = self._directory / f"acknowledged-{time.monotonic()}"
        command = [sys.executable, "-m", "tests.integration.jobqueue.isolation.client", *arguments]
        with path.open("wb") as output:
            process = subprocess.Popen(["ip", "netns", "exec", f"h{host}", *command], stdout=output)
        try:
            until(lambda: path.stat().st_size > 0, wanted="acknowledged jobs")
            yield path
        finally:
            process.kill()
            process.wait()

    def count_lost(self, acknowledged: Acknowledged) -> int:
        """Count how many of these jobs are missing in A's shard, on whichever server it is now."""
        owner = until(self.owner, wanted="one master of A's shards")
        assert owner is not None
        with redis.Redis(address(owner.host), owner.port) as client:
            pipeline = client.pipeline(transaction=False)
            for job_id in acknowledged.ids:
                pipeline.exists(f"{acknowledged.prefix}:job:{job_id}")
            return len(acknowledged.ids) - int(sum(pipeline.execute()))
