"""`POST /jobs/wait`: many jobs are waited for in one request."""

import json
import threading
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Worker, calls
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.client import Client
from workmanager.local.valkey import ValkeyServer


def submit(http: httpx.Client, count: int, queue: str = "default") -> list[str]:
    """Submit jobs and return their ids."""
    lines = json.dumps({"function": "noop", "queue": queue}) + "\n"
    answer = http.post("/jobs/batch", content=lines * count, headers={"Content-Type": "application/x-ndjson"})
    return [json.loads(line)["id"] for line in answer.text.splitlines()]


def waiting(manager: ManagerProgram, body: dict[str, Any]) -> tuple[threading.Thread, dict[str, Any]]:
    """Send a wait in a thread, which fills in its answer."""
    answer: dict[str, Any] = {}

    def send() -> None:
        answer.update(httpx.post(f"{manager.url}/jobs/wait", json=body, timeout=90, verify=False).json())

    thread = threading.Thread(target=send)
    thread.start()
    return thread, answer


def test_a_wait_for_all_of_thousands_of_jobs_ends_with_the_last_one(
    manager: ManagerProgram, http: httpx.Client, shared_server: ValkeyServer, redis_url: str
) -> None:
    ids = submit(http, 2_999) + submit(http, 1, "last")
    shared_server.command("CONFIG", "RESETSTAT")
    thread, answer = waiting(manager, {"ids": ids})
    until(lambda: calls(shared_server, "hmget") >= 3_000, 20, wanted="the first read of all jobs")
    Worker(redis_url).finish_all()
    thread.join(0.5)
    assert thread.is_alive()
    Worker(redis_url, "last").finish_all()
    thread.join(10)  # Sooner than the timeout.
    assert answer == {"done": True, "statuses": dict.fromkeys(ids, "finished")}


def test_a_wait_for_any_ends_with_the_first_one(
    manager: ManagerProgram, http: httpx.Client, shared_server: ValkeyServer, redis_url: str
) -> None:
    ids, (first,) = submit(http, 200), submit(http, 1, "first")
    shared_server.command("CONFIG", "RESETSTAT")
    thread, answer = waiting(manager, {"ids": [*ids, first], "any": True, "timeout": 55})
    until(lambda: calls(shared_server, "hget") > 201, 20, wanted="waiting")
    Worker(redis_url, "first").fail_all()
    thread.join(10)
    assert answer == {"done": True, "statuses": {**dict.fromkeys(ids, "queued"), first: "failed"}}


def test_a_wait_ends_with_its_timeout_and_at_once_without_one(http: httpx.Client) -> None:
    (job,) = submit(http, 1)
    for timeout in (0, 0.1):
        answer = http.post("/jobs/wait", json={"ids": [job, job, "missing"], "all": True, "timeout": timeout}).json()
        assert answer == {"done": False, "statuses": {job: "queued", "missing": None}}
    # What does not exist has ended.
    assert http.post("/jobs/wait", json={"ids": [job, "missing"], "any": True}).json()["done"]
    neither = {"ids": [job, "missing"], "any": False, "all": False, "timeout": 0}
    assert not http.post("/jobs/wait", json=neither).json()["done"], "for all, as if neither was given"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": ["a b"]}, "ids.0"),
        ({"ids": ["a"] * 10_001}, "ids"),
        ({"ids": ["a"], "any": True, "all": True}, ""),
        ({"ids": ["a"], "any": "yes"}, "any"),
        ({"ids": ["a"], "timeout": 56}, "timeout"),
        ({"ids": ["a"], "for": "any"}, "for"),
    ],
)
def test_bad_waits_are_refused(http: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = http.post("/jobs/wait", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_the_client_waits_for_more_than_one_request_can(
    manager: ManagerProgram, http: httpx.Client, worker: Worker
) -> None:
    (job,) = submit(http, 1)
    missing = {f"missing-{number}": None for number in range(10_000)}
    with Client(manager.url) as client:
        assert client.wait_for_jobs([*missing, job], timeout_seconds=0.1) == {**missing, job: "queued"}
        worker.finish_all()
        assert client.wait_for_jobs([*missing, job]) == {**missing, job: "finished"}
        assert client.wait_for_jobs([], wait_for="all") == {}


def test_a_key_that_is_bound_to_queues_waits_for_jobs_of_theirs_alone(first: ManagerProgram) -> None:
    key = create(first, "jobs:read", "jobs:write", queues=["wait-mine"])["key"]
    other = create(first, "jobs:read", "jobs:write", queues=["wait-others"])["key"]
    with as_(first, key) as mine, as_(first, other) as others:
        (own,), (foreign,) = submit(mine, 1, "wait-mine"), submit(others, 1, "wait-others")
        answer = mine.post("/jobs/wait", json={"ids": [own, foreign], "timeout": 0})
    assert answer.json() == {"done": False, "statuses": {own: "queued", foreign: None}}
