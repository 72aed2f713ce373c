"""Three hosts as network namespaces: master A alone on the first, its replica and master B on the second, a witness.

A client runs on the first host, or on a fourth one that has a link of its own to the first, beside its link to all.

    unshare --net --mount --pid --fork --kill-child python -m tests.integration.jobqueue.isolation.isolation_scenario DIRECTORY

Prints a line of JSON for each scenario (`Outcome`). Everything ends with this process.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import redis
from redis.crc import key_slot

from tests.waiting import until
from workmanager import store_settings
from workmanager.local.valkey import _binary

PORT = 7000
LAST_OF_A, LAST_OF_B = 8191, 16_382
STEADY_SECONDS = 1.5
STEADY_BYTES = 50_000
"""Of a client's file: more than a thousand acknowledged jobs."""
BALLAST, MEGABYTE = 64, 2**20
LINK_SECONDS = 60.0
FAILOVER_SECONDS = 6.0
"""Redis gives a failover that was asked for up after 5 s."""
_DROP_REPLICAS = "import redis, sys; redis.Redis(sys.argv[1], int(sys.argv[2])).client_kill_filter(_type='replica')"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario came to.

    Attributes:
        acknowledged: jobs that the client was told are in.
        lost: those of them that are not there in the end.
        succeeded: whether A's replica took its place.
    """

    scenario: str
    acknowledged: int
    lost: int
    replica_promoted: bool


def address(host: int) -> str:
    return f"10.9.0.{host}"


def run(*command: str) -> None:
    subprocess.run(command, check=True)


class Server:
    """A server on one of the hosts."""

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
        (self._directory / "store.conf").write_text(store_settings.render(settings))
        self.start()

    def start(self) -> None:
        with (self._directory / "log").open("ab") as output:
            command = ["ip", "netns", "exec", f"h{self.host}", _binary(), str(self._directory / "store.conf")]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        until(self.answers, wanted=f"server {self.port}")

    def answers(self) -> bool:
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
        """Returns in the moment in which it says that it follows its master."""
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


class ThreeHostCluster:
    """The hosts and their servers."""

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
        # What the first and the fourth send each other takes their own link.
        run("ip", "link", "add", "own1", "netns", "h1", "type", "veth", "peer", "name", "own4", "netns", "h4")
        for host, other in ((1, 4), (4, 1)):
            run(*f"ip -n h{host} link set own{host} up".split())
            run(*f"ip -n h{host} route add {address(other)} dev own{host} src {address(host)}".split())
        self.a, self.b, self.replica, self.witness = (
            Server(directory, host, number) for number, host in enumerate((1, 2, 2, 3))
        )
        self._form()

    def _form(self) -> None:
        slots = ((self.a, 0, LAST_OF_A), (self.b, LAST_OF_A + 1, LAST_OF_B), (self.witness, LAST_OF_B + 1, 16_383))
        for epoch, (member, first, last) in enumerate(slots, 1):
            member.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)
            member.command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for member in (self.b, self.replica, self.witness):
            member.command("CLUSTER", "MEET", address(1), self.a.port)
        until(lambda: len(str(self.replica.command("CLUSTER", "NODES")).splitlines()) == 4, wanted="acquaintance")
        self.replica.command("CLUSTER", "REPLICATE", str(self.a.command("CLUSTER", "MYID")))
        until(self.is_healthy, wanted="a cluster")
        self._weigh_down()

    def _weigh_down(self) -> None:
        """Gives A so much that a copy takes a while, in which jobs come in."""
        with redis.Redis(address(self.a.host), self.a.port) as client:
            names = (f"ballast-{number}" for number in itertools.count())
            for name in itertools.islice((name for name in names if key_slot(name.encode()) <= LAST_OF_A), BALLAST):
                client.set(name, os.urandom(MEGABYTE))

    def is_healthy(self) -> bool:
        """Whether A has its shards and its replica, and everybody is content."""
        members = (self.a, self.b, self.witness)
        content = all(member.reports_cluster_ok() for member in members)
        return content and self.a.is_master() and self.replica.is_linked_replica()

    def owner(self) -> Server | None:
        """Who has A's shards, once that is settled: it serves them, and the other one is its replica in step."""
        for owner, other in ((self.a, self.replica), (self.replica, self.a)):
            if owner.is_master() and owner.reports_cluster_ok() and other.is_linked_replica():
                return owner
        return None

    def restore(self) -> None:
        """Gives A its shards back."""
        until(self.a.answers, wanted="A")
        asked_at = float("-inf")

        def restored() -> bool:
            nonlocal asked_at
            if time.monotonic() > asked_at + FAILOVER_SECONDS and self.a.is_linked_replica():
                self.a.command("CLUSTER", "FAILOVER")
                asked_at = time.monotonic()
            return self.is_healthy()

        until(restored, wanted="the first order of things")

    def isolate_first_host(self, seconds: float, *, replica_drops: bool, replica_succeeds: bool) -> None:
        """Takes the first host off the network for so long; where its replica drops, A knows at once.

        Where the replica is to succeed A, the cut lasts until it has.
        """
        run("ip", "link", "set", "port1", "down")
        if replica_drops:
            run("ip", "netns", "exec", "h1", sys.executable, "-c", _DROP_REPLICAS, address(1), str(self.a.port))
        time.sleep(seconds)
        if replica_succeeds:
            until(self.replica.is_master, wanted="A's succession")
        run("ip", "link", "set", "port1", "up")

    @contextmanager
    def client(self, host: int, *options: str) -> Iterator[Path]:
        """A client of A's shard on that host; the file of what was acknowledged to it."""
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
        """How many of these jobs A's shard does not have, wherever it is."""
        owner = until(self.owner, wanted="the end of the dispute over A's shards")
        assert owner is not None
        with redis.Redis(address(owner.host), owner.port) as client:
            pipeline = client.pipeline(transaction=False)
            for job_id in acknowledged.ids:
                pipeline.exists(f"{acknowledged.prefix}:job:{job_id}")
            return len(acknowledged.ids) - sum(pipeline.execute())


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the client was told: ids of jobs of the shard with that prefix."""

    prefix: str
    ids: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Acknowledged:
        prefix, *ids = path.read_text().split("\n")[:-1]
        return cls(prefix, tuple(ids))


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the first host is cut off, or its master killed.

    Attributes:
        client_host: where the client runs: beside A, or where it reaches both sides of the cut.
        replica_returns: before that A's replica is lost, missed, and linked again for no more than a moment.
        replica_drops: with the cut A loses the link to its replica at once, instead of after a timeout.
        replica_succeeds: the cut lasts longer where the replica has not taken A's place by then.
        killed: there is no cut; A is killed, and started once it has been succeeded.
    """

    name: str
    cut_seconds: float
    options: tuple[str, ...] = ()
    client_host: int = 1
    replica_returns: bool = False
    drop_replica_link: bool = False
    wait_for_promotion: bool = True
    master_killed: bool = False


SCENARIOS = (
    Scenario("unconfirmed", 5.0, ("--unconfirmed",)),
    Scenario("short cut", 2.0, wait_for_promotion=False),
    Scenario("long cut", 6.0),
    Scenario("cut as a replica returns", 6.0, replica_returns=True),
    Scenario("killed as a replica returns", 0.0, replica_returns=True, master_killed=True),
    Scenario("client on both sides", 6.0, client_host=4, drop_replica_link=True),
)


def run_scenario(rig: ThreeHostCluster, scenario: Scenario) -> Outcome:
    """Cuts the first host off for a while, or kills its master, with a client on it, and counts."""
    rig.restore()
    with rig.client(scenario.client_host, *scenario.options) as path:
        time.sleep(STEADY_SECONDS)
        until(lambda: path.stat().st_size > STEADY_BYTES, wanted="a thousand acknowledged jobs")
        if scenario.replica_returns:
            rig.replica.kill()
            enough = path.stat().st_size + 100_000
            until(lambda: path.stat().st_size > enough, wanted="a master that is believed")
            rig.replica.start()
            rig.replica.wait_for_replication_link()
        if scenario.master_killed:
            rig.a.kill()
            until(rig.replica.is_master, wanted="A's succession")
        else:
            rig.isolate_first_host(
                scenario.cut_seconds,
                replica_drops=scenario.drop_replica_link,
                replica_succeeds=scenario.wait_for_promotion,
            )
        time.sleep(STEADY_SECONDS)
    if scenario.master_killed:
        rig.a.start()
    acknowledged = Acknowledged.read(path)
    return Outcome(scenario.name, len(acknowledged.ids), rig.count_lost(acknowledged), not rig.a.is_master())


if __name__ == "__main__":
    rig = ThreeHostCluster(Path(sys.argv[1]))
    for scenario in SCENARIOS:
        sys.stdout.write(json.dumps(asdict(run_scenario(rig, scenario))) + "\n")
        sys.stdout.flush()
