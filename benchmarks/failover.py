"""How long a shard on a cluster takes no writes when its master is killed, hangs, or pauses for a second.

Two clients write to the shard all the time and repeat 50 ms after a refusal: one by `PUT /enqueue` at a manager, one by
the queue's own functions. Shown are the seconds from the fault until the replica is the master, and until each client's
first write that began after the fault was accepted.
"""

import asyncio
import contextlib
import http.client
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import redis
from redis.crc import key_slot

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.measured_programs import wait_until
from benchmarks.harness.redis_servers import BenchmarkRedis, form_cluster
from benchmarks.harness.workmanager_programs import running_manager
from jobqueue.errors import JobQueueError
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import NewJob
from jobqueue.sharding.job_ids import JobIdGenerator
from jobqueue.sharding.shards import Shards
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

KILLED, HANGS, PAUSED = "killed", "hangs", "paused for 1 s"
PAUSE_SECONDS = 1.0
REPEAT_SECONDS, ACCEPTED_PAUSE_SECONDS = 0.05, 0.005
STEADY_SECONDS = 4.0
"""Pause before each fault: masters vote only once in two node timeouts about the same shard."""
ELECTION_SECONDS = 1.0
"""After a pause: time for an election, if there was one."""
GIVE_UP_SECONDS = 60.0
_SHARD = 0
_DATA = b'["worker_node.functions.noop", null, [], {}]'


def main() -> None:
    """Run the benchmark."""
    options = parse_options("failover", __doc__ or "", quick_runs=3, full_runs=12)
    report = BenchmarkReport("failover", options.quick)
    report.print_machine()
    measured: dict[str, list[Figures]] = {KILLED: [], HANGS: [], PAUSED: []}
    with (
        _running_cluster() as (cluster, server),
        running_manager(server) as (_, port),
        _running_writers(server.url, port) as (writers, slot),
    ):

        def measure(fault: str) -> Figures:
            figures = _measure(cluster, slot, writers, fault)
            measured[fault].append(figures)
            return figures

        compare(report, {fault: partial(measure, fault) for fault in measured}, options.runs)
    for fault in (KILLED, HANGS):
        longest = max(figures["put_s"] for figures in measured[fault])
        report.add_aim(f"{fault}: longest time until a PUT is accepted, s", longest, most=2.5)
    failovers = sum(figures["failovers"] for figures in measured[PAUSED])
    report.add_aim(f"{PAUSED}: failovers", failovers, most=0)
    report.print_tables()


class _Writer(threading.Thread):
    """Writes to the shard until it is told to end.

    Args:
        write: writes one job, and returns whether it was accepted.

    Attributes:
        first_accepted: when the first write was accepted that began after the last fault; None before.
    """

    def __init__(self, write: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self._write = write
        self._ending = threading.Event()
        self._fault_at = float("inf")
        self.first_accepted: float | None = None

    def note_fault(self, at: float) -> None:
        """Begin to look for the first write that is accepted after this moment."""
        self._fault_at = at
        self.first_accepted = None

    def run(self) -> None:
        while not self._ending.is_set():
            began = time.monotonic()
            accepted = self._write()
            if accepted and began >= self._fault_at and self.first_accepted is None:
                self.first_accepted = time.monotonic()
            time.sleep(ACCEPTED_PAUSE_SECONDS if accepted else REPEAT_SECONDS)

    def end(self) -> None:
        """End after the write that is under way."""
        self._ending.set()
        self.join()


@contextlib.contextmanager
def _running_cluster() -> Iterator[tuple[ValkeyCluster, BenchmarkRedis]]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        cluster = ValkeyCluster(Path(name) / "redis")
        try:
            cluster.start()
            form_cluster(cluster.equal_hosts, cluster.url)
            masters = tuple(redis.Redis(port=server.port) for server in cluster.masters())
            client = redis.RedisCluster(host="127.0.0.1", port=cluster.servers[0].port)
            yield cluster, BenchmarkRedis(Path(name), cluster.url, client, masters)
        finally:
            for server in cluster.servers:
                server.kill()


@contextlib.contextmanager
def _running_writers(url: str, port: int) -> Iterator[tuple[tuple[_Writer, _Writer], int]]:
    """Run one writer by PUT and one by the queue's functions; yield them and the slot of their shard."""
    with asyncio.Runner() as runner:
        shards = runner.run(Shards.connect(url))
        writers = _Writer(partial(_put, port, JobIdGenerator(len(shards)))), _Writer(partial(_call, runner, shards))
        for writer in writers:
            writer.start()
        try:
            yield writers, key_slot(shards.all[_SHARD].prefix.encode())
        finally:
            for writer in writers:
                writer.end()
            runner.run(shards.close())


def _put(port: int, ids: JobIdGenerator) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("PUT", f"/enqueue?iterations=1&id={ids.generate(_SHARD)}", b"x")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _call(runner: asyncio.Runner, shards: Shards) -> bool:
    shard = shards.all[_SHARD]
    try:
        runner.run(enqueue(shard, [NewJob(id=shards.new_id(shard), function="noop", data=_DATA)]))
    except JobQueueError:
        return False
    return True


def _measure(cluster: ValkeyCluster, slot: int, writers: tuple[_Writer, _Writer], fault: str) -> Figures:
    cluster.repair()
    time.sleep(STEADY_SECONDS)
    master, replica = _members(cluster, slot)
    fault_at = time.monotonic()
    for writer in writers:
        writer.note_fault(fault_at)
    figures: dict[str, float] = {}
    if fault == KILLED:
        master.kill()
    else:
        master.pause()
    if fault == PAUSED:
        time.sleep(PAUSE_SECONDS)
        master.resume()
    else:
        wait_until(lambda: _is_master(replica), seconds=GIVE_UP_SECONDS, wanted="the replica as master")
        figures["promoted_s"] = time.monotonic() - fault_at
    wait_until(
        lambda: all(writer.first_accepted is not None for writer in writers),
        seconds=GIVE_UP_SECONDS,
        wanted="accepted writes",
    )
    for name, writer in zip(("put_s", "call_s"), writers, strict=True):
        assert writer.first_accepted is not None
        figures[name] = writer.first_accepted - fault_at
    if fault == PAUSED:
        time.sleep(ELECTION_SECONDS)
        figures["failovers"] = int(_is_master(replica))
    return figures


def _members(cluster: ValkeyCluster, slot: int) -> tuple[ValkeyServer, ValkeyServer]:
    """Return the slot's master and its replica."""
    by_port = {server.port: server for server in cluster.servers}
    for first, last, master, replica in cluster.servers[0].command("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return by_port[master[1]], by_port[replica[1]]
    raise LookupError(f"no master has slot {slot}")


def _is_master(server: ValkeyServer) -> bool:
    return bool(server.command("ROLE")[0] == "master")


if __name__ == "__main__":
    main()
