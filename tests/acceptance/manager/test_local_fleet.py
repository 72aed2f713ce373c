"""The manager with its local fleet: it starts workers for jobs, and they stop with it."""

import hashlib

from tests.acceptance.manager.conftest import Start
from tests.processes import is_alive
from tests.waiting import until


def test_the_manager_starts_workers_that_run_the_jobs(start: Start, redis_url: str) -> None:
    manager = start(redis_url, "--scaler", "local", MAX_WORKERS="1").wait_until_ready()
    with manager.client() as client:
        data = b"any\x00thing"
        work_id = client.put("/enqueue?iterations=2", content=data).json()["Work ID"]
        (result,) = client.post("/pullCompleted?top=10&wait=55").json()
        expected = hashlib.sha512(hashlib.sha512(data).digest()).hexdigest()
        assert result == {"Work ID": work_id, "Value": expected}
        (running_worker,) = client.get("/workers").json()["workers"]
        assert running_worker["native"]
        assert client.get("/status").json()["Workers"] == 1

        running = client.post("/jobs", json={"function": "sleep", "kwargs": {"seconds": 60}, "id": "long"})
        assert running.status_code == 201
        until(lambda: client.get("/jobs/long").json()["status"] == "started")
        # It would be 202 if the worker did not stop the job within 3 s.
        stopped = client.post("/jobs/long/cancel")
        assert (stopped.status_code, stopped.json()) == (200, {"id": "long", "status": "stopped"})

        failing = {"function": "sha512", "kwargs": {"iterations": 1}, "id": "fails"}
        client.post("/jobs", json=failing)
        job = client.get("/jobs/fails?wait=55").json()
        assert (job["status"], job["error"]["reason"]) == ("failed", "exception")
        assert "data" in job["error"]["message"]
        assert manager.stop() == 0
    assert not is_alive(running_worker["pid"])
