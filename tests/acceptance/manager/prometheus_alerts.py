"""Each alert of `infra/prometheus/alerts.yml`, live: a real Prometheus, a running system, and the fault.

`./scripts/dev.sh alerts` runs it; it takes minutes, so pytest does not find it by its name. The rules are ours but for
their spans of time (`prometheus_server.quickened`). `test_prometheus.py` shows some of the alerts in every run.
"""

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import redis
from redis.crc import key_slot

from benchmarks.harness.redis_servers import form_cluster
from jobqueue import keys
from jobqueue.sharding.layout import WITNESS_SLOT, Layout
from tests.acceptance.manager.callback_receiver import Receiver, Reply
from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram, environment
from tests.acceptance.manager.prometheus_server import Prometheus, is_installed
from tests.ec2.faults import CapacityLimit
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.full_disk import cut_a_write_short, full_disk
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

pytestmark = pytest.mark.skipif(not is_installed(), reason="prometheus (Debian's package) is missing")

OF_QUEUES = {"QueuePausedLong", "QueueUnserved", "JobsWaitTooLong", "JobsFail", "WorkersLost"}
OF_CALLBACKS = {"CallbacksGivenUp", "CallbacksDropped", "CallbacksLate"}
OF_OUTAGES = {"RedisDown", "NoScalerLeader", "RequestsFail", "ManagerDown", "NobodyTellsOfTheQueue", "SchedulesMissed"}
OF_EC2 = {"LaunchesFail", "WorkersNeverRegister"}
OF_CLUSTERS = {
    *("ClusterReplicaMissing", "RedisFilesUnsound", "ShardsAway", "ClusterMasterDown", "ClusterRequiresOperator"),
}

StartPrometheus = Callable[..., Prometheus]
LONG_SECONDS = 120.0


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[StartPrometheus]:
    """Return a function that starts a Prometheus, and waits until it knows a healthy system: no alert fires."""
    servers: list[Prometheus] = []

    def start_one(*managers: ManagerProgram) -> Prometheus:
        server = Prometheus(tmp_path / "prometheus", [manager.port for manager in managers])
        servers.append(server)
        healthy = f"sum(up) == {len(managers)} and sum(workmanager_scaler_is_leader) == 1"
        until(lambda: server.query(healthy) and not server.query("ALERTS"), wanted="a healthy system")
        return server

    yield start_one
    for server in servers:
        server.stop()


def _until_told(prometheus: Prometheus, wanted: set[str], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until each of these alerts has fired; no other one may. Do `meanwhile` again and again."""
    seen: set[str] = set()

    def all_seen() -> bool:
        meanwhile()
        seen.update(prometheus.firing())
        return wanted <= seen

    try:
        until(all_seen, LONG_SECONDS)
    finally:
        assert (wanted - seen, seen - wanted) == (set(), set()), "alerts that are missing, and those that must not fire"


def _until_ended(prometheus: Prometheus, ended: set[str]) -> None:
    until(lambda: not ended & prometheus.firing(), LONG_SECONDS, wanted=f"the end of {ended}")


@pytest.fixture
def managers(start: Start, private_server: ValkeyServer) -> list[ManagerProgram]:
    """Two managers, one of which runs a worker."""
    settings = {
        "LEASE_SECONDS": "4",
        "MIN_WORKERS": "1",
        "MAX_WORKERS": "1",
        "QUEUES": "default,reports",
        "CALLBACK_ALLOW": "127.0.0.1",
        "CALLBACK_RETRY_INTERVALS": ",".join(["1"] * 20),
    }
    programs = [start(private_server.url, "--scaler", "local", **settings) for _ in range(2)]
    return [program.wait_until_ready() for program in programs]


def test_faults_of_jobs_and_their_receivers(
    managers: list[ManagerProgram], start_prometheus: StartPrometheus, private_server: ValkeyServer
) -> None:
    prometheus = start_prometheus(*managers)
    with managers[0].client() as http, Receiver() as away, Receiver(lambda _: Reply(410)) as gone:
        away.stop()
        # More than wait for one host.
        submit(http, 10_100, callback_url=away.url)
        submit(http, 1, callback_url=gone.url)
        http.post("/queues/reports/pause").raise_for_status()
        ids = submit(http, 1, queue="reports") + submit(http, 1, queue="nobody")
        ids += _lose_a_worker(http, private_server.url)
        refused = {"url": "http://127.0.0.1:1/"}
        _until_told(prometheus, OF_QUEUES | OF_CALLBACKS, lambda: submit(http, 2, function="http", kwargs=refused))
        for job_id in ids:
            http.delete(f"/jobs/{job_id}").raise_for_status()
        http.post("/queues/reports/resume").raise_for_status()
        away.start()
        waiting = http.get("/callbacks", params={"host": away.host}).json()["callbacks"][0]
        http.post(f"/callbacks/{waiting['id']}/retry").raise_for_status()
        _until_ended(prometheus, OF_QUEUES | OF_CALLBACKS)


def submit(http: httpx.Client, count: int, **job: object) -> list[str]:
    """Submit jobs in one request; return their ids."""
    lines = (json.dumps({"function": "noop", **job}) + "\n") * count
    answer = http.post("/jobs/batch", content=lines, headers={"Content-Type": "application/x-ndjson"})
    return [json.loads(line)["id"] for line in answer.raise_for_status().text.splitlines()]


def _lose_a_worker(http: httpx.Client, redis_url: str) -> list[str]:
    """Kill a worker that runs twelve jobs; return their ids."""
    ids = submit(http, 12, function="sleep", kwargs={"seconds": 600}, queue="lost")
    command = [sys.executable, "-m", "worker_node", "--redis-url", redis_url, "--slots", "12", "--queues", "lost"]
    worker = subprocess.Popen(command, env=environment(LEASE_SECONDS="4"), stderr=subprocess.DEVNULL)
    try:
        until(lambda: _status_counts(http, "lost")["started"] == 12, wanted="twelve running jobs")
    finally:
        worker.kill()
        worker.wait()
    return ids


def _status_counts(http: httpx.Client, queue: str) -> dict[str, int]:
    (found,) = (one for one in http.get("/queues").json()["queues"] if one["name"] == queue)
    return dict(found)


def test_managers_are_away_and_then_redis(
    managers: list[ManagerProgram],
    start: Start,
    start_prometheus: StartPrometheus,
    private_server: ValkeyServer,
) -> None:
    prometheus = start_prometheus(*managers)
    (tells,) = prometheus.query("workmanager_tells_queue == 1")
    (teller,) = (manager for manager in managers if tells["metric"]["instance"].endswith(f":{manager.port}"))
    (other,) = (manager for manager in managers if manager is not teller)
    with other.client() as http:
        schedule = {"every": 1, "job": {"function": "noop", "feed": False}, "overlap": "allow"}
        http.put("/schedules/often", json=schedule).raise_for_status()
        for manager in managers:
            manager.process.send_signal(signal.SIGSTOP)
        until(lambda: "ManagerDown" in prometheus.firing(), wanted="ManagerDown")
        for manager in managers:
            manager.process.send_signal(signal.SIGCONT)
        until(lambda: "SchedulesMissed" in prometheus.firing(), wanted="SchedulesMissed")
        http.delete("/schedules/often").raise_for_status()
        _until_ended(prometheus, OF_OUTAGES)

        private_server.kill()
        teller.kill()
        away = OF_OUTAGES - {"SchedulesMissed"}
        _until_told(prometheus, away, lambda: http.put("/enqueue?iterations=1", content=b"x"))
        private_server.start()
        start(private_server.url, "--scaler", "local", "--port", str(teller.port)).wait_until_ready()
        _until_ended(prometheus, OF_OUTAGES)


@pytest.fixture
def members(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """A cluster of this test alone."""
    cluster = ValkeyCluster(tmp_path / "cluster")
    cluster.start()
    form_cluster(cluster.hosts, cluster.url)
    yield cluster
    for server in cluster.servers:
        server.kill()


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    """An EC2 whose instances never boot."""
    with SimulatedCloud(tmp_path, boots=False, address="127.0.0.1") as cloud:
        for name, value in cloud.environ.items():
            monkeypatch.setenv(name, value)
        yield cloud


def start_on_ec2(start: Start, members: ValkeyCluster, cloud: SimulatedCloud, **settings: str) -> ManagerProgram:
    """Start a manager that administers the cluster and launches instances, and wait until it is ready."""
    return start(
        members.url,
        *("--scaler", "ec2"),
        module="tests.acceptance.ec2.fast_manager",
        CLUSTER_HOSTS=members.hosts,
        LAUNCH_TEMPLATE=cloud.create_template(""),
        SUBNETS=",".join(cloud.subnets().values()),
        INSTANCE_TYPES="c7g.large",
        MAX_WORKERS="6",
        BOOT_TIMEOUT_SECONDS="10",
        **settings,
    ).wait_until_ready()


def test_faults_of_a_cluster_and_of_ec2(
    members: ValkeyCluster, cloud: SimulatedCloud, start: Start, start_prometheus: StartPrometheus
) -> None:
    manager = start_on_ec2(start, members, cloud)
    prometheus = start_prometheus(manager)
    master, replica, witness = one_range(members)
    with manager.client() as http:
        cloud.faults.capacity = [CapacityLimit()]
        http.put("/scaler/limits", json={"min_workers": 6}).raise_for_status()
        with full_disk(witness):
            cut_a_write_short(witness, _key_of_witness())
            replica.kill()
            _until_told(prometheus, {"LaunchesFail", "RedisFilesUnsound", "ClusterReplicaMissing"})
        cloud.faults.capacity = []
        _until_ended(prometheus, {"LaunchesFail", "RedisFilesUnsound"})
        until(lambda: "WorkersNeverRegister" in prometheus.firing(), LONG_SECONDS, wanted="WorkersNeverRegister")
        http.put("/scaler/limits", json={"min_workers": 0}).raise_for_status()
        _until_ended(prometheus, OF_EC2)
        master.kill()
        until(lambda: {"ShardsAway", "ClusterMasterDown"} <= prometheus.firing(), wanted="alerts of a lost range")
        # It has never been linked to its master, so it may not take over.
        replica.start()
        until(lambda: "ClusterRequiresOperator" in prometheus.firing(), LONG_SECONDS, wanted="ClusterRequiresOperator")
        master.start()
        _until_ended(prometheus, OF_CLUSTERS | OF_EC2)
        assert prometheus.firing() == set()


def one_range(members: ValkeyCluster) -> tuple[ValkeyServer, ValkeyServer, ValkeyServer]:
    """Return the master and the replica of slots that do not have the scaler's state, and the witness' master."""
    first, replica_of_second, second, replica_of_first, _, witness = members.servers
    (layout,) = filter(None, (_get(server, keys.LAYOUT) for server in (first, second, witness)))
    state = keys.scaler(Layout.from_json(layout).prefixes[0], "leader")
    if key_slot(state.encode()) <= WITNESS_SLOT // 2:
        return second, replica_of_second, witness
    return first, replica_of_first, witness


def _get(server: ValkeyServer, key: str) -> bytes | None:
    """Return a value; None if another server has it."""
    with suppress(redis.RedisError):
        found: bytes | None = server.command("GET", key)
        return found
    return None


def _key_of_witness() -> str:
    return next(str(number) for number in itertools.count() if key_slot(b"%d" % number) == WITNESS_SLOT)
