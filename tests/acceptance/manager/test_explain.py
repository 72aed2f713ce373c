"""`GET /jobs/{id}/explain` on a running manager: each thing that keeps a job from running is made, and read."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue, Repeat
from rq.rate_limit import RateLimit

from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.model import NewJob
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat
from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

Explain = Callable[[str], dict[str, Any]]


def submit(http: httpx.Client, job_id: str, **fields: Any) -> None:
    answer = http.post("/jobs", json={"function": "noop", "id": job_id, **fields})
    assert answer.status_code == 201, answer.text


@pytest.fixture
def explain(http: httpx.Client) -> Explain:
    """Explain a job."""

    def ask(job_id: str) -> dict[str, Any]:
        answer = http.get(f"/jobs/{job_id}/explain")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    return ask


def register_worker(redis_url: str, *, slots: int, running: int, problems: tuple[str, ...] = ()) -> None:
    """Register a worker of all queues that never takes a job."""

    async def run() -> None:
        shards = await Shards.connect(redis_url)
        for shard in shards:
            await register(shard, WorkerRecord("w", "host", 1, ("*",), slots, problems=problems))
            await send_worker_heartbeat(shard, "w", WorkerHeartbeat("busy", running, 0, 0, 0.0))
        await shards.close()

    asyncio.run(run())


def lead(server: ValkeyServer, **documents: Any) -> None:
    """Write what a scaler that leads would have written."""
    until_time = time.time() + 30
    server.command("HSET", "rq:wm:scaler:leader", "until", str(until_time), "epoch", 1, "address", "host:1")
    for name, value in documents.items():
        server.command("SET", f"rq:wm:scaler:{name}", json.dumps(value))


def test_a_queue_that_is_paused_and_then_unserved(http: httpx.Client, explain: Explain) -> None:
    submit(http, "a", queue="q")
    submit(http, "b", queue="q")
    answer = explain("b")
    assert (answer["id"], answer["status"], answer["reason"]) == ("b", "queued", "queue_unserved")
    assert answer["sentence"].startswith("No worker is registered and no manager launches any")
    http.post("/queues/q/pause")
    answer = explain("b")
    assert answer["reason"] == "queue_paused"
    assert (answer["queue"], answer["ahead"], answer["queued"]) == ("q", 1, 2)
    assert answer["paused_at"] in answer["sentence"]


def test_busy_slots_and_what_the_scaler_does(
    http: httpx.Client, explain: Explain, redis_url: str, shared_server: ValkeyServer
) -> None:
    register_worker(redis_url, slots=2, running=2)
    for name in "abc":
        submit(http, name)
    assert explain("c")["sentence"] == (
        "2 jobs stand before it in queue 'default', and all 2 slots of 1 worker are busy. No manager launches workers."
    )
    lead(shared_server, report={"at": 1.0, "fleet": "f", "reason": "LAUNCH 1: it pays", "numbers": {}})
    lead(shared_server, learned={"boot_seconds": 90.0}, caution={"not_before": time.time() + 30, "last_failure": "no"})
    instance = json.dumps({"launched_at": time.time() - 30})
    shared_server.command("HSET", "rq:wm:scaler:instances", "i-1", instance)
    answer = explain("c")
    assert (answer["reason"], answer["booting"], answer["scaler_leader"]) == ("slots_busy", 1, "host:1")
    assert 50 < answer["first_boot_seconds"] <= 60
    for part in ("1 instance is booting", "launches are held back for", "(no)", "last decision: LAUNCH 1: it pays."):
        assert part in answer["sentence"]
    register_worker(redis_url, slots=3, running=2)
    assert explain("a")["reason"] == "about_to_start"


def test_a_worker_that_cannot_import_the_function(explain: Explain, redis_url: str) -> None:
    async def submit_as_another_manager() -> None:
        shards = await Shards.connect(redis_url)
        job = NewJob(id="a", function="shop.pay", data=b'["shop.pay",null,[],{}]', timeout_seconds=60)
        await enqueue(shards.all[0], [job])
        await shards.close()

    asyncio.run(submit_as_another_manager())
    register_worker(redis_url, slots=2, running=0, problems=("module 'shop' has no source file",))
    answer = explain("a")
    assert answer["reason"] == "module_broken"
    assert answer["sentence"] == (
        "No worker can run function 'shop.pay', so the job will fail: module 'shop' has no source file."
    )


def test_parents_and_what_becomes_of_a_job_whose_parent_fails(
    http: httpx.Client, explain: Explain, worker: Worker
) -> None:
    submit(http, "p")
    submit(http, "q", queue="other")
    submit(http, "c", depends_on=["p", {"id": "q", "when": "ended"}])
    answer = explain("c")
    assert (answer["status"], answer["reason"], answer["parents"]) == ("deferred", "waiting_for_parents", 2)
    assert sorted(answer["open_parents"], key=lambda parent: parent["id"]) == [
        {"id": "p", "status": "queued", "when": "finished"},
        {"id": "q", "status": "queued", "when": "ended"},
    ]
    worker.fail_all()
    until(lambda: explain("c")["status"] == "canceled")
    answer = explain("c")
    assert answer["reason"] == "dependency_failed"
    assert "p" in answer["sentence"]


def test_a_limit_with_its_holders_and_a_rate(
    http: httpx.Client, explain: Explain, worker: Worker, redis_url: str
) -> None:
    register_worker(redis_url, slots=2, running=1)
    for name in "abc":
        submit(http, name, limits=[{"key": "api", "concurrency": 1}])
    assert worker.claim() == 1
    answer = explain("c")
    assert (answer["status"], answer["reason"], answer["ahead"]) == ("deferred", "limit_reached", 1)
    assert (answer["limit"], answer["places"], answer["held"], answer["holders"]) == ("api", 1, 1, ["a"])
    for name in "de":
        submit(http, name, limits=[{"key": "mail", "rate": "1/1h"}])
    assert worker.claim() == 1
    answer = explain("e")
    assert (answer["reason"], answer["ahead"], 3500 < answer["seconds"] <= 3600) == ("rate_reached", 0, True)


def test_jobs_that_are_due_later_run_or_have_ended(
    http: httpx.Client, explain: Explain, worker: Worker, shared_server: ValkeyServer
) -> None:
    submit(http, "delayed", delay=60)
    answer = explain("delayed")
    assert (answer["reason"], 50 < answer["seconds"] <= 60) == ("delayed", True)
    submit(http, "retried", retry={"max": 3, "intervals": [60]})
    worker.fail_all()
    answer = explain("retried")
    assert (answer["reason"], answer["attempts"], answer["retries_left"]) == ("retry", 1, 2)
    submit(http, "failed")
    worker.fail_all()
    answer = explain("failed")
    assert (answer["reason"], answer["error"]) == ("failed", "exception")
    assert "ValueError: no" in answer["sentence"]
    submit(http, "finished")
    worker.finish_all()
    assert explain("finished")["reason"] == "finished"
    submit(http, "canceled")
    http.post("/jobs/canceled/cancel")
    assert explain("canceled")["reason"] == "canceled"
    submit(http, "running")
    worker.claim()
    answer = explain("running")
    assert (answer["reason"], answer["worker"]) == ("running", worker.name)
    assert 0 < answer["lease_seconds"] <= 60
    shared_server.command("HSET", "rq:job:running", "wm_cancel", 1)
    assert explain("running")["reason"] == "stopping"


def test_what_plain_rq_clients_make_jobs_wait_for(
    explain: Explain, redis_url: str, shared_server: ValkeyServer
) -> None:
    queue = Queue(connection=Redis.from_url(redis_url))
    for name in ("first", "second"):
        queue.enqueue("worker_node.functions.noop", job_id=name, rate_limit=RateLimit("api", 1))
    queue.enqueue("worker_node.functions.noop", job_id="child", depends_on=["first"])
    answer = explain("second")
    assert (answer["reason"], answer["key"], answer["places"], answer["held"]) == ("rate_limited", "api", 1, 1)
    assert explain("child")["open_parents"] == [{"id": "first", "status": "queued", "when": "finished"}]
    again = queue.enqueue_in(timedelta(minutes=1), "worker_node.functions.noop", job_id="again", repeat=Repeat(2, 60))
    shared_server.command("HSET", again.key, "started_at", again.created_at.isoformat())
    assert (explain("again")["reason"], explain("again")["repeats_left"]) == ("repeat", 2)
    shared_server.command("SET", "rq:suspended", 1)
    assert explain("first")["reason"] == "workers_suspended"


def test_a_key_that_is_bound_to_queues_is_told_of_its_own_jobs_and_not_of_the_scaler(first: ManagerProgram) -> None:
    key = create(first, "jobs:read", "jobs:write", queues=["explain-mine"])["key"]
    other = create(first, "jobs:read", "jobs:write", queues=["explain-others"])["key"]
    with as_(first, key) as mine, as_(first, other) as others:
        submit(mine, "explain-a", queue="explain-mine")
        submit(others, "explain-b", queue="explain-others")
        assert mine.get("/jobs/explain-b/explain").status_code == 404
        answer = mine.get("/jobs/explain-a/explain").json()
    assert answer["status"] == "queued"
    assert "scaler_leader" not in answer
