"""Jobs whose id or queue is not UTF-8, in a running system: they fail with the reason, and every route answers."""

import re
from pathlib import Path

import httpx
from redis import Redis

from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.worker_node.conftest import Worker
from tests.waiting import until

ROUTES = ("/jobs", "/jobs?status=failed", "/jobs?limit=1", "/status", "/workers", "/queues", "/metrics", "/scaler")
JOBS = ((b"\xff\xfe", b"default"), (b"odd", b"q\xff"), (b"\xfd", b"q\xff"))


def test_they_fail_with_the_reason_and_every_route_answers(
    manager: ManagerProgram, http: httpx.Client, redis_url: str, tmp_path: Path
) -> None:
    redis = Redis.from_url(redis_url)
    for job_id, queue in JOBS:
        record = {"data": b'["worker_node.functions.noop",null,[],{}]', "origin": queue, "status": "queued"}
        redis.hset(b"rq:job:" + job_id, mapping=record)
        redis.rpush(b"rq:queue:" + queue, job_id)
        redis.sadd("rq:queues", b"rq:queue:" + queue)
    worker = Worker(redis_url, tmp_path / "worker.log")
    try:
        jobs = until(lambda: found if len(found := _failed(http)) == len(JOBS) else None, wanted="their ends")
        for job_id, queue in JOBS:
            job = jobs[job_id.decode(errors="replace")]
            assert job["queue"] == queue.decode(errors="replace")
            assert (job["error"]["reason"], "is not UTF-8" in job["error"]["message"]) == ("rejected", True)
        for route in ROUTES:
            assert http.get(route).status_code == 200, route
        counted = {each["name"]: each["failed"] for each in http.get("/queues").json()["queues"]}
        assert counted == {"default": 1, "q\N{REPLACEMENT CHARACTER}": 2}
        new = http.post("/jobs", json={"function": "noop"}).json()["id"]
        assert http.get(f"/jobs/{new}?wait=45").json()["status"] == "finished"
        for left in (
            "rq:wm:leases",
            *{b"rq:%b:%b" % (kind, queue) for _, queue in JOBS for kind in (b"wip", b"queue")},
        ):
            assert not redis.exists(left), left
        assert not any(redis.hexists(b"rq:job:" + job_id, "wm_losses") for job_id, _ in JOBS)
    finally:
        worker.kill()
    assert worker.log_text.count("event=job_failed") == len(JOBS)
    for log in (manager.log, worker.log_text):
        assert re.findall(r"event=\w+_crashed|event=request_failed|event=outcome_\w+|Traceback", log) == []


def test_nobody_can_ask_for_such_a_name_and_what_is_shown_for_it_is_not_taken_instead(
    http: httpx.Client, redis_url: str
) -> None:
    for method, path in (
        ("GET", "/jobs/%FF%FE"),
        ("GET", "/jobs?queue=q%FF"),
        ("POST", "/queues/q%FF/pause"),
        ("POST", "/queues/q%FF/requeue-failed"),
    ):
        answer = http.request(method, path)
        assert answer.status_code in (400, 404), (path, answer.text)
        assert "is not UTF-8" in answer.json()["detail"]
    assert not Redis.from_url(redis_url).exists("rq:wm:paused")


def _failed(http: httpx.Client) -> dict[str, dict[str, dict[str, str]]]:
    return {job["id"]: job for job in http.get("/jobs?status=failed").json()["jobs"]}
