"""A manager of several processes: one port, one scaler, one set of metrics; an ended process comes back."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis

from jobqueue import keys
from processes.descendants import children_of
from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey_cluster import ValkeyCluster

JOBS = 40


@pytest.fixture
def manager(start: Start, redis_url: str) -> ManagerProgram:
    """A manager of two processes that are ready."""
    return _ready(start(redis_url, "--processes", "2"), 2)


@pytest.fixture
def connections(manager: ManagerProgram) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """A connection to the main process, and one to its sibling."""
    with _connection_to(manager.process.pid, manager) as main, _connection_to(_sibling(manager), manager) as sibling:
        yield main, sibling


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """Six servers that the test's manager makes a cluster of: it would change one that other tests use."""
    servers = ValkeyCluster(tmp_path / "cluster")
    servers.start()
    try:
        yield servers
    finally:
        servers.stop()


def test_each_process_tells_the_metrics_of_all(
    manager: ManagerProgram, connections: tuple[httpx.Client, httpx.Client]
) -> None:
    for client in connections:
        for _ in range(JOBS):
            assert client.put("/enqueue?iterations=1", content=b"x").is_success
    for client in connections:
        shown = _samples(client)
        assert shown["workmanager_jobs_submitted_total"] == 2 * JOBS
        assert shown['workmanager_http_requests_total{method="PUT",route="/enqueue",status="200"}'] == 2 * JOBS
        assert shown["workmanager_tells_queue"] == 1
        assert shown['workmanager_queue_jobs{queue="default",status="queued"}'] == 2 * JOBS
    assert manager.log.count("event=reporter_changed") == 1
    # A sibling does not wait long for a main process that hangs.
    os.kill(manager.process.pid, signal.SIGSTOP)
    try:
        assert connections[1].get("/metrics").status_code == 503
        assert connections[1].put("/enqueue?iterations=1", content=b"x").is_success
        assert "the main process of this manager does not answer" in connections[1].get("/").text
    finally:
        os.kill(manager.process.pid, signal.SIGCONT)


def test_only_the_main_process_leads(start: Start, redis_url: str) -> None:
    manager = _ready(start(redis_url, "--processes", "2", "--scaler", "local"), 2)
    with Redis.from_url(redis_url) as redis:
        lease, reporter = keys.scaler("rq", "leader"), keys.reporter("rq")
        until(lambda: redis.exists(lease) and redis.exists(reporter), wanted="a leader, and who tells of the queue")
        os.kill(manager.process.pid, signal.SIGSTOP)
        try:
            ends = [float(redis.hget(key, "until")) for key in (lease, reporter)]
            until(lambda: redis.time()[0] > max(ends) + 3, wanted="the end of the leases, and time to take them over")
            assert [float(redis.hget(key, "until")) for key in (lease, reporter)] == ends
        finally:
            os.kill(manager.process.pid, signal.SIGCONT)


def test_a_process_that_was_killed_comes_back_and_what_it_counted_stays(
    manager: ManagerProgram, connections: tuple[httpx.Client, httpx.Client]
) -> None:
    main, sibling = connections
    for _ in range(JOBS):
        assert sibling.put("/enqueue?iterations=1", content=b"x").is_success
    before = _samples(main)
    assert before["workmanager_jobs_submitted_total"] == JOBS
    killed = _sibling(manager)
    os.kill(killed, signal.SIGKILL)
    until(lambda: f"event=manager_process_exited number=1 pid={killed} code=-9" in manager.log)
    after = _samples(main)
    assert after["workmanager_jobs_submitted_total"] == JOBS
    assert after["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"]
    _ready(manager, 3)
    with _connection_to(_sibling(manager), manager) as sibling:
        assert sibling.put("/enqueue?iterations=1", content=b"x").is_success
        assert _samples(sibling)["workmanager_jobs_submitted_total"] == JOBS + 1


def test_all_processes_stop_in_order(manager: ManagerProgram) -> None:
    assert os.getpgid(_sibling(manager)) != os.getpgid(manager.process.pid), "a terminal's Ctrl-C would reach both"
    assert manager.stop() == 0
    assert manager.log.count("event=manager_stopped exit_code=0") == 2


def test_siblings_stop_when_the_main_process_is_killed(manager: ManagerProgram) -> None:
    manager.kill()
    until(lambda: "event=manager_stopped" in manager.log)
    assert "event=manager_stopping reason=main_process_gone" in manager.log
    with socket.create_server(("127.0.0.1", manager.port)):
        pass  # The port is free.


def test_a_sibling_tells_the_state_of_the_cluster(start: Start, own_cluster: ValkeyCluster) -> None:
    manager = _ready(start(own_cluster.url, "--processes", "2", CLUSTER_HOSTS=own_cluster.hosts), 2)
    with _connection_to(_sibling(manager), manager) as sibling:
        state = until(lambda: sibling.get("/readyz").json().get("cluster"), wanted="the state of the cluster")
        assert state["members_down"] == 0


def _ready(manager: ManagerProgram, processes: int) -> ManagerProgram:
    """Wait until so many processes have been ready since the start."""
    manager.wait_until_ready()
    until(lambda: manager.log.count("event=queue_connected") == processes, wanted=f"{processes} processes")
    return manager


def _sibling(manager: ManagerProgram) -> int:
    (pid,) = children_of(manager.process.pid)
    return pid


@contextmanager
def _connection_to(pid: int, manager: ManagerProgram) -> Iterator[httpx.Client]:
    """Yield a client whose connection this process has accepted, because the other one was stopped meanwhile."""
    other = _sibling(manager) if pid == manager.process.pid else manager.process.pid
    with manager.client() as client:
        os.kill(other, signal.SIGSTOP)
        try:
            assert client.get("/healthz").is_success
        finally:
            os.kill(other, signal.SIGCONT)
        yield client


def _samples(client: httpx.Client) -> dict[str, float]:
    text = client.get("/metrics").raise_for_status().text
    return {name: float(value) for name, value in re.findall(r"^(\w\S*) (\S+)$", text, re.M)}
