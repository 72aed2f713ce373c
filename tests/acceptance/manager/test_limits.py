"""Limits and fair keys over HTTP."""

from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Start, Worker
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until


def submit(http: httpx.Client, job_id: str, **fields: Any) -> dict[str, Any]:
    answer = http.post("/jobs", json={"function": "noop", "id": job_id, **fields})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def statuses(http: httpx.Client, *job_ids: str) -> list[str]:
    return [http.get(f"/jobs/{job_id}").json()["status"] for job_id in job_ids]


def test_a_limit_holds_and_its_numbers_change_for_all_at_once(http: httpx.Client, worker: Worker) -> None:
    limits = [{"key": "tenant:42", "concurrency": 1}]
    assert [submit(http, name, limits=limits)["status"] for name in "abc"] == ["deferred"] * 3
    assert worker.claim() == 1
    assert statuses(http, *"abc") == ["started", "deferred", "deferred"]
    shown = http.get("/limits/tenant:42").json()
    assert shown == {
        "key": "tenant:42",
        "concurrency": 1,
        "rate": None,
        "burst": None,
        "fixed": False,
        "running": 1,
        "holders": ["a"],
        "blocked_lanes": 1,
        "waiting": 2,
        "more_waiting": False,
        "first_waiting": ["b", "c"],
    }
    changed = http.put("/limits/tenant:42", json={"concurrency": 2, "rate": "100/1m", "burst": 20})
    assert (changed.json()["concurrency"], changed.json()["rate"], changed.json()["fixed"]) == (2, "100/1m", True)
    assert worker.claim() == 1
    assert [each["key"] for each in http.get("/limits").json()["limits"]] == ["tenant:42"]
    assert http.delete("/limits/tenant:42").status_code == 204
    entries = http.get("/audit").json()["entries"]
    assert [entry["action"] for entry in entries][:2] == ["limit_deleted", "limit_set"]
    assert entries[1]["after"] == {"concurrency": 2, "starts": 100, "seconds": 60, "burst": 20}


def test_workers_are_launched_for_jobs_that_may_run_and_not_for_others(start: Start, redis_url: str) -> None:
    manager = start(redis_url, "--scaler", "local", MAX_WORKERS="1").wait_until_ready()
    with manager.client() as http:
        http.put("/limits/closed", json={"concurrency": 0})
        submit(http, "waits", limits=[{"key": "closed", "concurrency": 5}])
        submit(http, "free", limits=[{"key": "open", "rate": "10/s"}], fair_key="me")
        until(lambda: statuses(http, "free") == ["finished"], 60)
        until(
            lambda: http.get("/scaler").json()["instances"] == [], 120, wanted="no instance for a job that may not run"
        )
        assert statuses(http, "waits") == ["deferred"]
        http.put("/limits/closed", json={"concurrency": 1})
        until(lambda: statuses(http, "waits") == ["finished"], 60)


REFUSED = {
    "no number": ([{"key": "k"}], "'concurrency' or a 'rate'"),
    "burst alone": ([{"key": "k", "concurrency": 1, "burst": 2}], "'burst' needs a 'rate'"),
    "the same key twice": ([{"key": "k", "concurrency": 1}, {"key": "k", "rate": "1/s"}], "more than once"),
    "a rate that is none": ([{"key": "k", "rate": "0/m"}], "pattern"),
    "a key that is none": ([{"key": "a b", "concurrency": 1}], "pattern"),
}


@pytest.mark.parametrize("nothing", [[], None])
def test_a_job_without_limits_is_queued(http: httpx.Client, nothing: object) -> None:
    answer = http.post("/jobs", json={"function": "noop", "limits": nothing})
    assert (answer.status_code, answer.json()["status"]) == (201, "queued")


@pytest.mark.parametrize("name", REFUSED)
def test_limits_that_cannot_be_are_refused_before_anything_is_written(http: httpx.Client, name: str) -> None:
    limits, words = REFUSED[name]
    answer = http.post("/jobs", json={"function": "noop", "limits": limits})
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"].startswith("limits"), error
    assert words in error["message"]
    assert http.get("/status").json()["Jobs"] == 0
    assert http.get("/limits").json() == {"limits": []}


def test_limits_belong_to_operators(managers: tuple[ManagerProgram, ManagerProgram], operator: httpx.Client) -> None:
    with as_(managers[0], create(managers[0], "jobs:write", "jobs:read")["key"]) as client:
        assert client.put("/limits/k", json={"concurrency": 1}).status_code == 403
        assert client.get("/limits").status_code == 200
    with as_(managers[0], create(managers[0], "jobs:write", "jobs:read", queues=["mine"])["key"]) as bound:
        assert bound.get("/limits").status_code == 403
    assert operator.put("/limits/a%20b", json={"concurrency": 1}).json()["errors"][0]["field"] == "key"
    assert operator.get("/limits/nothing").status_code == 404
    assert operator.delete("/limits/nothing").json()["type"] == "urn:workmanager:problem:no-such-limit"
