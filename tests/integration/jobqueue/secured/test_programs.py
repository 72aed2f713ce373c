"""A manager and a worker process, each with the Redis user of its role, get no permission errors."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobqueue.sharding.shards import Shards
from tests.acceptance.manager.manager_program import ManagerProgram, environment
from tests.tls_redis import TlsServer, names_of
from tests.waiting import until


@pytest.fixture
def manager(master: TlsServer, managers: Shards, tmp_path: Path) -> Iterator[ManagerProgram]:
    """A manager that has loaded the functions itself."""
    administrator_url = master.url("administrator")
    with master.client("administrator") as administrator:
        for name in names_of(administrator.function_list("wm_*")):
            administrator.function_delete(name)
    program = ManagerProgram(
        tmp_path / "manager", master.url("manager"), ("--scaler", "none"), CLUSTER_URL=administrator_url
    )
    yield program.wait_until_ready()
    program.kill()


@pytest.fixture
def worker_log(master: TlsServer, manager: ManagerProgram, tmp_path: Path) -> Iterator[Path]:
    """The log of a running worker."""
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker_node", "--slots", "1"],
            stdout=output,
            stderr=output,
            env=environment(REDIS_URL=master.url("worker")),
        )
    yield log
    process.terminate()
    process.wait(60)


def test_manager_and_worker_serve_jobs_without_permission_errors(manager: ManagerProgram, worker_log: Path) -> None:
    with manager.client() as client:
        work_id = client.put("/enqueue?iterations=2", content=b"data").json()["Work ID"]
        (result,) = client.post("/pullCompleted?top=1&lease=30&wait=55").json()
        value = hashlib.sha512(hashlib.sha512(b"data").digest()).hexdigest()
        assert result == {"Work ID": work_id, "Value": value}
        assert client.post("/ackCompleted", json={"ids": [work_id]}).json() == {"acknowledged": 1}
        client.post("/jobs", json={"function": "sleep", "kwargs": {"seconds": 60}, "id": "long"})
        until(lambda: client.get("/jobs/long").json()["status"] == "started")
        assert client.post("/jobs/long/cancel").json()["status"] == "stopped"
        client.post("/jobs", json={"function": "sha512", "kwargs": {"iterations": 1}, "id": "fails"})
        assert client.get("/jobs/fails?wait=55").json()["status"] == "failed"
        client.post("/jobs", json={"function": "noop", "id": "soon", "delay": 0.5})
        # While somebody watches, every program writes what changes.
        assert '"finished"' in client.get("/jobs/soon/events?wait=55").text
        schedule = {"every": 1, "overlap": "queue", "max_runs": 2, "job": {"function": "noop"}}
        assert client.put("/schedules/often", json=schedule).status_code == 201
        until(lambda: client.get("/schedules/often").json()["runs"] == 2)
        for verb in ("pause", "resume", "trigger"):
            assert client.post(f"/schedules/often/{verb}").is_success
        assert client.delete("/schedules/often").is_success
        assert client.put("/limits/a", json={"concurrency": 1}).status_code == 200
        assert client.get("/limits/a").json()["concurrency"] == 1
        for path in (
            "/schedules",
            "/audit",
            "/status",
            "/workers",
            "/queues",
            "/metrics",
            "/jobs?status=finished",
            "/readyz",
            "/limits",
            "/operations",
            "/callbacks",
            "/keys",
            "/scaler",
        ):
            assert client.get(path).status_code == 200, path
        assert client.post("/queues/default/requeue-failed").status_code == 200
        assert client.delete("/jobs/soon").status_code in (200, 204)
    for log in (manager.log, worker_log.read_text()):
        for word in ("permission", "NOPERM", "Traceback", "level=error"):
            assert word not in log, log
