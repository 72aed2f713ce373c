"""What a submission asks for over HTTP: the order of a batch's lines, and the options of a repeated id."""

import itertools
import json
from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue
from rq.rate_limit import RateLimit

OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "lifo": {"order": "lifo"},
    "delay": {"delay": 600},
    "another delay": {"delay": 601},
    "at": {"at": "2099-01-01T00:00:00Z"},
    "lifo, delay": {"order": "lifo", "delay": 600},
    "retry": {"retry": {"max": 1}},
    "two retries": {"retry": {"max": 2}},
    "meta": {"meta": {"n": 1}},
    "timeout": {"timeout": 5},
    "result_ttl": {"result_ttl": 5},
    "feed": {"feed": False},
    "queue": {"queue": "other"},
    "isolation": {"isolation": "job"},
    "parent": {"depends_on": ["parent"]},
    "parent whose end is awaited": {"depends_on": [{"id": "parent", "when": "ended"}]},
    "callback": {"callback_url": "https://example.com/"},
    "callback of failures": {"callback": {"url": "https://example.com/", "events": ["failed"]}},
}
SAME_INSTANT = ("2098-12-31T23:00:00-01:00", "2099-01-01T00:00:00.000Z")


@pytest.mark.parametrize("order", ["fifo", "lifo"])
def test_the_lines_of_a_batch_keep_their_order_over_slices_and_calls(http: httpx.Client, order: str) -> None:
    differences: list[dict[str, Any]] = [{}, {"function": "sleep"}, {"timeout": 7}, {"retry": {"max": 1}}]
    lines = [{"function": "noop", "order": order, **differences[n * n % 4], "meta": {"n": n // 3}} for n in range(900)]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    answers = http.post("/jobs/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    ids = [json.loads(line)["id"] for line in answers.text.splitlines()]
    queued = [job["id"] for job in http.get("/jobs?status=queued&limit=1000").json()["jobs"]]
    assert queued == (ids if order == "fifo" else ids[::-1])


def test_a_repeated_id_with_any_other_option_is_refused(http: httpx.Client) -> None:
    unlike = []
    http.post("/jobs", json={"function": "noop", "id": "parent"})
    for number, (first, second) in enumerate(itertools.product(OPTIONS, OPTIONS)):
        codes = [
            http.post("/jobs", json={"function": "noop", "id": f"job-{number}", **OPTIONS[name]}).status_code
            for name in (first, second)
        ]
        if codes != [201, 200 if first == second else 409]:
            unlike.append((first, second, codes))
    assert unlike == []


def test_a_job_shows_the_isolation_that_it_asked_for(http: httpx.Client) -> None:
    lines = [{"function": "noop", "id": "isolated", "isolation": "job"}, {"function": "noop", "id": "plain"}]
    lines.append({"function": "noop", "id": "other", "isolation": "thread"})
    body = "".join(json.dumps(line) + "\n" for line in lines)
    answers = http.post("/jobs/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    refused = json.loads(answers.text.splitlines()[2])
    assert "isolation" in json.dumps(refused["error"])
    assert http.post("/jobs", json=lines[2]).status_code == 422
    assert [http.get(f"/jobs/{name}").json()["isolation"] for name in ("isolated", "plain")] == ["job", None]
    assert {job["id"]: job["isolation"] for job in http.get("/jobs?status=queued").json()["jobs"]} == {
        "isolated": "job",
        "plain": None,
    }


def test_one_instant_written_in_two_ways_is_the_same_submission(http: httpx.Client) -> None:
    codes = [http.post("/jobs", json={"function": "noop", "id": "a", "at": at}).status_code for at in SAME_INSTANT]
    assert codes == [201, 200]


def test_jobs_that_wait_for_a_rate_limit_are_counted_and_listed(http: httpx.Client, redis_url: str) -> None:
    with Redis.from_url(redis_url) as connection:
        queue = Queue(connection=connection, serializer="json")
        limit = RateLimit("key", 1)
        first, second = (queue.enqueue("worker_node.functions.noop", rate_limit=limit) for _ in range(2))
        status = http.get("/status").json()
        assert (status["Jobs"], status["rate_limited"], status["queues"]["default"]["queued"]) == (2, 1, 1)
        assert [job["id"] for job in http.get("/jobs?status=rate_limited").json()["jobs"]] == [second.id]
        assert http.get("/jobs?status=ready_to_enqueue").json()["jobs"] == []
        assert http.post(f"/jobs/{first.id}/cancel").json()["status"] == "canceled"
        assert http.get("/status").json()["rate_limited"] == 0
        assert http.get(f"/jobs/{second.id}").json()["status"] == "queued"
