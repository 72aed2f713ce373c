"""The whole real system: submit jobs and pull values over HTTP while parts of it are killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.sha512 import sha512
from tests.processes import running_in
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client

pytestmark = pytest.mark.timeout(600)
ANSWER_SECONDS = 60.0


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    run = WorkmanagerUp(tmp_path / "run")
    yield run
    run.kill_all()


def _submit(client: Client, count: int, *, iterations: int) -> dict[str, str]:
    """Submit jobs. Return the right values by Work ID."""
    expected = {}
    for number in range(count):
        data = f"job {number}".encode()
        expected[client.enqueue(data, iterations=iterations)] = sha512(data, iterations)
    return expected


def _pull(client: Client, count: int) -> dict[str, str]:
    """Pull `count` values and return them by Work ID. None may be delivered again after it was acknowledged."""
    values: dict[str, str] = {}

    def all_there() -> bool:
        # With a lease: a result whose answer was lost with its manager is delivered again.
        results = client.pull(top=1_000, lease_seconds=10, wait_seconds=2)
        client.ack(result.id for result in results)
        for result in results:
            assert result.id not in values
            values[result.id] = result.value
        return len(values) >= count

    until(all_there, 180, wanted=f"{count} values")
    return values


def _is_ready(url: str) -> bool:
    """Return whether the manager is ready; one that does not listen yet is not."""
    try:
        return httpx.get(f"{url}/readyz", timeout=ANSWER_SECONDS).is_success
    except httpx.TransportError:
        return False


def test_a_job_submitted_to_one_manager_is_pulled_from_the_other(up: WorkmanagerUp) -> None:
    up.start("--max-workers", "2")
    up.wait_until_ready()
    with httpx.Client(timeout=ANSWER_SECONDS) as http:
        raw = http.put(f"{up.urls[0]}/enqueue", params={"iterations": 1_000}, content=b"\0raw").json()
        form = http.put(f"{up.urls[0]}/enqueue", params={"iterations": 2}, files={"data": b"\xffform"}).json()
    with Client(up.urls[1]) as client:
        values = _pull(client, 2)
        assert values == {raw["Work ID"]: sha512(b"\0raw", 1_000), form["Work ID"]: sha512(b"\xffform", 2)}
        until(lambda: client.status()["Workers"] == 0, wanted="the end of the workers")
    assert up.stop() == 0
    assert running_in(up.directory) == []


def test_killing_a_manager_and_a_worker_loses_no_job(up: WorkmanagerUp) -> None:
    up.start("--max-workers", "2")
    up.wait_until_ready()
    with Client(up.urls) as client:
        expected = _submit(client, 60, iterations=60_000)
        until(lambda: client.status()["Workers"] >= 1, wanted="a worker")
        os.kill(up.pid_of("-m worker_node"), signal.SIGKILL)
        os.kill(up.pid_of(f"-m manager --host 127.0.0.1 --port {up.port} "), signal.SIGKILL)
        assert _pull(client, 60) == expected
        until(lambda: _is_ready(up.urls[0]), wanted="the manager's return")
    assert up.stop() == 0
    assert running_in(up.directory) == []


def test_jobs_survive_a_stop_and_run_after_the_next_start(up: WorkmanagerUp) -> None:
    up.start("--max-workers", "1")
    up.wait_until_ready()
    with Client(up.urls) as client:
        expected = _submit(client, 30, iterations=100_000)
    assert up.stop() == 0
    assert running_in(up.directory) == []
    up.start("--max-workers", "2")
    up.wait_until_ready()
    with Client(up.urls) as client:
        assert _pull(client, 30) == expected
    assert up.stop() == 0


def test_killing_the_system_leaves_no_process_and_loses_no_job(up: WorkmanagerUp) -> None:
    process = up.start("--max-workers", "1")
    up.wait_until_ready()
    with Client(up.urls) as client:
        expected = _submit(client, 30, iterations=100_000)
        until(lambda: client.status()["Workers"] == 1, wanted="a worker")
    process.kill()
    process.communicate()
    until(lambda: not running_in(up.directory), wanted="the end of all processes")
    up.start("--max-workers", "2")
    up.wait_until_ready()
    with Client(up.urls) as client:
        assert _pull(client, 30) == expected


def _members_down(url: str) -> int:
    """Return how many cluster members the manager reports as down; -1 if `/readyz` and `/metrics` differ."""
    cluster = httpx.get(f"{url}/readyz", timeout=ANSWER_SECONDS).json()["cluster"]
    metrics = httpx.get(f"{url}/metrics", timeout=ANSWER_SECONDS).text
    if f"workmanager_cluster_members_down {float(cluster['members_down'])}" not in metrics.splitlines():
        return -1  # something changed between the two requests
    return int(cluster["members_down"])


def test_a_cluster_loses_no_job_when_a_master_is_killed(up: WorkmanagerUp) -> None:
    up.start("--cluster", "--max-workers", "2")
    up.wait_until_ready()
    with Client(up.urls, retry_seconds=30) as client:
        expected = _submit(client, 30, iterations=50_000)
        until(lambda: all(_members_down(url) == 0 for url in up.urls), wanted="a healthy cluster")
        os.kill(up.pid_of("valkey-server"), signal.SIGKILL)
        until(lambda: all(_members_down(url) == 1 for url in up.urls), wanted="one member down")
        expected |= _submit(client, 30, iterations=50_000)
        assert _pull(client, 60) == expected
    assert up.stop() == 0
    assert running_in(up.directory) == []
