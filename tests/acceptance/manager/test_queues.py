"""Queues of a running system: which are served, who is told when one is not, and pausing."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from redis import Redis
from rq import Queue, Worker

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.client import Client

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def scaling(start: Start, redis_url: str) -> Iterator[httpx.Client]:
    """A client of a manager with workers that serve every queue."""
    with start(redis_url, "--scaler", "local", MAX_WORKERS="1").wait_until_ready().client() as client:
        yield client


@pytest.fixture
def limited(start: Start, redis_url: str) -> ManagerProgram:
    """A manager whose workers serve one queue only."""
    return start(redis_url, "--scaler", "local", MAX_WORKERS="1", QUEUES="high").wait_until_ready()


def test_jobs_of_any_queue_run_on_workers_without_a_setting(scaling: httpx.Client, redis_url: str) -> None:
    jobs = [_submit(scaling, queue="reports") for _ in range(10)] + [_submit(scaling, queue="new")]
    assert all(set(job) == {"id", "status"} for job in jobs)
    for job in jobs:
        assert scaling.get(f"/jobs/{job['id']}?wait=50").json()["status"] == "finished"
    odd = Queue("größe, neu", connection=Redis.from_url(redis_url), serializer="json")
    stock_job = odd.enqueue("worker_node.functions.noop")
    until(lambda: scaling.get(f"/jobs/{stock_job.id}").json()["status"] == "finished")
    queues = _queues(scaling)
    assert all(queues[name]["served"] and not queues[name]["paused"] for name in ("reports", "new", "größe, neu"))
    assert scaling.get("/workers").json()["workers"][0]["queues"] == ["*"]
    assert scaling.get("/status").json()["problems"] == []


def test_everybody_is_told_of_a_queue_that_no_worker_serves(limited: ManagerProgram) -> None:
    with limited.client() as client:
        until(lambda: _submit(client, queue="reports").get("warning"), wanted="the first check of the queues")
        for warning in (
            _submit(client, queue="reports")["warning"],
            _submit(client, queue="never-seen")["warning"],
            json.loads(client.post("/jobs/batch", content=b'{"function": "noop", "queue": "x"}', headers=NDJSON).text)[
                "warning"
            ],
            client.put("/enqueue?iterations=1", content=b"a").json()["warning"],
        ):
            assert warning.startswith("no worker serves queue ")
            assert "WORKMANAGER_QUEUES" in warning
        until(lambda: "event=queue_unserved queue='reports'" in limited.log)
        assert _queues(client)["reports"]["served"] is False
        problems = client.get("/status").json()["problems"]
        assert any("no worker serves queue 'reports'" in problem for problem in problems)
        assert 'workmanager_queue_served{queue="reports"} 0.0' in client.get("/metrics").text
        # Such jobs start no instance, and the scaler says so.
        until(lambda: _numbers(client).get("unserved", 0) >= 4)
        assert _numbers(client)["queued"] == 0
        assert client.get("/scaler").json()["instances"] == []
        served = _submit(client, queue="high")
        assert set(served) == {"id", "status"}
        assert client.get(f"/jobs/{served['id']}?wait=50").json()["status"] == "finished"
        assert _queues(client)["high"]["served"] is True


def test_a_paused_queue_keeps_its_jobs_and_starts_no_worker(scaling: httpx.Client) -> None:
    assert scaling.post("/queues/reports/pause").json() == {"name": "reports", "paused": True}
    assert _queues(scaling)["reports"]["paused"] is True
    job = _submit(scaling, queue="reports")
    assert "is paused" in job["warning"]
    until(lambda: _numbers(scaling).get("paused") == 1)
    assert scaling.get("/scaler").json()["instances"] == []
    assert 'workmanager_queue_paused{queue="reports"} 1.0' in scaling.get("/metrics").text
    other = _submit(scaling, queue="other")
    assert scaling.get(f"/jobs/{other['id']}?wait=50").json()["status"] == "finished"
    assert scaling.get(f"/jobs/{job['id']}").json()["status"] == "queued"
    assert any("'reports' is paused" in problem for problem in scaling.get("/status").json()["problems"])
    assert scaling.post("/queues/reports/pause").json() == {"name": "reports", "paused": True}
    assert scaling.post("/queues/reports/resume").json() == {"name": "reports", "paused": False}
    assert scaling.get(f"/jobs/{job['id']}?wait=50").json()["status"] == "finished"
    assert _queues(scaling)["reports"]["paused"] is False


@pytest.mark.parametrize("name", ["default", "größe, neu", "with space", "*", "a/b", "x" * 256])
def test_a_queue_of_any_name_can_be_paused_before_it_exists(http: httpx.Client, name: str) -> None:
    path = f"/queues/{quote(name, safe='')}"
    assert http.post(f"{path}/pause").json() == {"name": name, "paused": True}
    assert _queues(http)[name]["paused"] is True
    assert http.post(f"{path}/resume").json() == {"name": name, "paused": False}
    assert http.post(f"{path}/resume").json() == {"name": name, "paused": False}
    assert name not in _queues(http)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_queue_that_urls_cannot_name_takes_no_job_over_http_and_a_plain_rq_clients_can_be_paused(
    manager: ManagerProgram, http: httpx.Client, redis_url: str, name: str
) -> None:
    refused = http.post("/jobs", json={"function": "noop", "queue": name})
    assert (refused.status_code, "clients take these out of URLs" in refused.json()["detail"]) == (422, True)
    assert name not in _queues(http)
    Queue(name, connection=Redis.from_url(redis_url), serializer="json").enqueue("worker_node.functions.noop")
    with Client(manager.url) as client:
        assert client.pause_queue(name) == {"name": name, "paused": True}
        assert (_queues(http)[name]["paused"], _queues(http)[name]["queued"]) == (True, 1)
        assert client.resume_queue(name) == {"name": name, "paused": False}
        assert client.requeue_failed(name) == {"requeued": 0}


def test_resuming_a_queue_that_does_not_exist_leaves_nothing_behind(http: httpx.Client, redis_url: str) -> None:
    redis = Redis.from_url(redis_url)
    before = set(redis.keys())
    assert http.post("/queues/nowhere/resume").json() == {"name": "nowhere", "paused": False}
    assert not [key for key in set(redis.keys()) - before if b"nowhere" in key]
    assert not redis.exists("rq:wm:paused")


@pytest.mark.parametrize("path", ["/queues/a%00b/pause", f"/queues/{'x' * 257}/pause", "/queues/a%0Ab/resume"])
def test_an_impossible_queue_name_is_a_404(http: httpx.Client, path: str) -> None:
    assert http.post(path).status_code == 404


def test_submitters_are_told_that_there_is_neither_a_worker_nor_a_scaler(
    manager: ManagerProgram, http: httpx.Client, redis_url: str
) -> None:
    until(lambda: _submit(http, queue="reports").get("warning"), wanted="the first check of the queues")
    batch = b'{"function": "noop", "queue": "reports"}\n{"function": "noop", "queue": "never-seen"}'
    lines = [json.loads(line) for line in http.post("/jobs/batch", content=batch, headers=NDJSON).text.splitlines()]
    answers = [_submit(http, queue="new"), http.put("/enqueue?iterations=1", content=b"a").json(), *lines]
    for answer in answers:
        assert answer["warning"].startswith("no worker is registered and no manager launches any")
    assert _queues(http)["reports"]["served"] is False
    (problem,) = http.get("/status").json()["problems"]
    assert "no worker is registered" in problem
    until(lambda: "event=queue_unserved queue='reports'" in manager.log)
    command = (sys.executable, "-m", "workmanager", "submit", "--function", "noop", "--url", str(http.base_url))
    shell = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert shell.stderr.count("\n") == 1
    assert "no worker is registered" in shell.stderr
    connection = Redis.from_url(redis_url)
    worker = Worker([Queue("reports", connection=connection)], connection=connection)
    worker.register_birth()
    until(lambda: "warning" not in _submit(http, queue="reports"), wanted="a check that finds the worker")
    # Now that there is a worker, what is told is that it does not serve the other queues.
    assert http.put("/enqueue?iterations=1", content=b"a").json()["warning"].startswith("no worker serves queue")
    worker.register_death()
    until(lambda: "warning" in _submit(http, queue="reports"), wanted="a check that misses the worker")


def test_a_manager_without_a_scaler_beside_one_that_has_one_does_not_warn(
    start: Start, scaling: httpx.Client, redis_url: str
) -> None:
    until(lambda: scaling.get("/scaler").json()["leader"])
    with start(redis_url).wait_until_ready().client() as client:
        scaling.post("/queues/held/pause")
        # It starts no worker, and tells when the queues have been checked.
        until(lambda: _submit(client, queue="held").get("warning"), wanted="the first check of the queues")
        assert "warning" not in client.put("/enqueue?iterations=1", content=b"a").json()
        assert "warning" not in _submit(client, queue="reports")


def _submit(client: httpx.Client, **job: Any) -> dict[str, Any]:
    answer = client.post("/jobs", json={"function": "noop", **job})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def _queues(client: httpx.Client) -> dict[str, dict[str, Any]]:
    return {queue["name"]: queue for queue in client.get("/queues").json()["queues"]}


def _numbers(client: httpx.Client) -> dict[str, Any]:
    return dict((client.get("/scaler").json()["observation"] or {}).get("numbers", {}))
