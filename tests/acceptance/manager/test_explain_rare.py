"""`GET /jobs/{id}/explain` in states that last for a moment, or that dead programs leave behind."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.scheduler import RQScheduler

from jobqueue import keys
from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.test_explain import register_worker
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

NOOP = "worker_node.functions.noop"


def explain(http: httpx.Client, job_id: str) -> dict[str, Any]:
    return dict(http.get(f"/jobs/{job_id}/explain").raise_for_status().json())


def submit(http: httpx.Client, job_id: str, **fields: Any) -> str:
    http.post("/jobs", json={"function": "noop", "id": job_id, **fields}).raise_for_status()
    return job_id


def seen(http: httpx.Client, reason: str, make: Callable[[], str]) -> dict[str, Any]:
    """Make a state until it is seen: a manager ends it soon, perhaps before it is asked about."""

    def look() -> dict[str, Any] | None:
        answer = explain(http, make())
        return answer if answer["reason"] == reason else None

    return until(look, wanted=reason) or {}


def test_a_job_whose_worker_is_lost(http: httpx.Client, worker: Worker, shared_server: ValkeyServer) -> None:
    made = iter(range(1000))

    def lose(**record: int) -> str:
        """Return a job that runs, and whose lease has just ended."""
        job_id = submit(http, f"lost-{next(made)}")
        worker.claim()
        for name, value in record.items():
            shared_server.command("HSET", f"rq:job:{job_id}", name, value)
        (lease,) = (each for each in shared_server.command("ZRANGE", keys.leases("rq"), 0, -1) if job_id in str(each))
        shared_server.command("ZADD", keys.leases("rq"), time.time() - 1, lease)
        return job_id

    answer = seen(http, "worker_lost", lose)
    assert answer["sentence"] == f"Worker {worker.name} has been lost: the job is about to be queued again."
    assert (answer["status"], answer["losses"], answer["lease_seconds"] < 0) == ("started", 0, True)
    until(lambda: http.get(f"/jobs/{answer['id']}").json()["status"] == "queued", wanted="the job in its queue")

    answer = seen(http, "worker_lost", lambda: lose(wm_losses=2))
    assert answer["sentence"].endswith("the job is about to fail, because that has happened to it 3 times.")
    until(lambda: explain(http, answer["id"])["reason"] == "failed", wanted="the job's failure")
    assert "worker_lost" in explain(http, answer["id"])["sentence"]

    answer = seen(http, "worker_lost", lambda: lose(wm_cancel=1))
    assert answer["sentence"].endswith("the job is about to end, because it was canceled.")
    until(lambda: explain(http, answer["id"])["reason"] == "stopped", wanted="the job's end")


def test_a_free_slot_that_does_not_take_the_next_job(
    http: httpx.Client, redis_url: str, shared_server: ValkeyServer
) -> None:
    register_worker(redis_url, slots=2, running=1)
    submit(http, "stuck")
    two_minutes_ago = (datetime.now(UTC) - timedelta(minutes=2)).isoformat().replace("+00:00", "Z")
    shared_server.command("HSET", "rq:job:stuck", "enqueued_at", two_minutes_ago)
    answer = explain(http, "stuck")
    assert (answer["reason"], 120 <= answer["waited_seconds"] < 180) == ("not_taken", True)
    assert "1 of 2 slots are free, but it has waited for 12" in answer["sentence"]
    assert answer["sentence"].endswith("read the log of the worker with free slots (w), and restart it.")


def test_what_plain_rq_programs_leave_on_its_way(http: httpx.Client, redis_url: str) -> None:
    connection = Redis.from_url(redis_url)
    queue = Queue(connection=connection)

    Job.create(NOOP, connection=connection, id="new", origin=queue.name).save()
    answer = explain(http, "new")
    assert (answer["status"], answer["reason"]) == ("created", "created")
    assert answer["sentence"] == "A plain RQ client has created the job and not queued it."

    scheduler = RQScheduler([queue], connection)
    assert scheduler.acquire_locks() == {queue.name}
    queue.enqueue_at(datetime.now(UTC) - timedelta(minutes=1), NOOP, job_id="late")
    answer = explain(http, "late")
    assert (answer["status"], answer["reason"], answer["seconds"] < -59) == ("scheduled", "overdue", True)
    assert "unless a plain RQ scheduler holds the lock of the queue" in answer["sentence"]
    scheduler.release_locks()
    until(lambda: explain(http, "late")["status"] == "queued", wanted="the job that was due")

    parent = queue.enqueue(NOOP, job_id="parent")
    queue.enqueue(NOOP, job_id="child", depends_on=[parent])
    parent.set_status("finished")
    # As an RQ worker does that dies before it queues what it has made ready.
    queue.move_dependents_to_ready(parent)
    answer = explain(http, "child")
    assert (answer["status"], answer["reason"]) == ("ready_to_enqueue", "rq_enqueues")
    assert answer["sentence"].endswith("a manager queues it within 20 s.")


def test_a_job_whose_parents_have_ended(http: httpx.Client, redis_url: str) -> None:
    queue, made = Queue(connection=Redis.from_url(redis_url)), iter(range(1000))

    def end_parent() -> str:
        """Return a job that an RQ worker has left behind: it has died after the end of the job's parent."""
        number = next(made)
        parent = queue.enqueue(NOOP, job_id=f"parent-{number}")
        queue.enqueue(NOOP, job_id=f"child-{number}", depends_on=[parent])
        parent.set_status("finished")
        return f"child-{number}"

    answer = seen(http, "parents_ended", end_parent)
    assert (answer["status"], answer["parents"], answer["open_parents"]) == ("deferred", 1, [])
    until(lambda: explain(http, answer["id"])["status"] == "queued", wanted="the job in its queue")
