"""Jobs that wait for others, over HTTP: what is accepted, what is shown, and what is told when a job is refused."""

import json
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until


def submit(http: httpx.Client, job_id: str, *parents: Any, **fields: Any) -> httpx.Response:
    depends_on = {"depends_on": list(parents)} if parents else {}
    return http.post("/jobs", json={"function": "noop", "id": job_id, **depends_on, **fields})


def job(http: httpx.Client, job_id: str) -> dict[str, Any]:
    return dict(http.get(f"/jobs/{job_id}").json())


def test_a_job_waits_until_its_parents_have_finished(http: httpx.Client, worker: Worker) -> None:
    submit(http, "first")
    submit(http, "second")
    answer = submit(http, "child", "first", {"id": "second"})
    assert (answer.status_code, answer.json()) == (201, {"id": "child", "status": "deferred"})
    assert job(http, "child")["depends_on"] == ["first", "second"]
    assert [each["id"] for each in http.get("/jobs?status=deferred").json()["jobs"]] == ["child"]
    assert worker.finish_waiting() == 2
    until(lambda: job(http, "child")["status"] == "queued")
    assert worker.finish_all() == 1
    assert job(http, "child")["status"] == "finished"
    assert submit(http, "late", "first", "child").json()["status"] == "queued"


def test_a_job_whose_parent_fails_is_canceled_and_returns_with_it(http: httpx.Client, worker: Worker) -> None:
    submit(http, "parent")
    submit(http, "child", "parent")
    submit(http, "whatever", {"id": "parent", "when": "ended"})
    worker.fail_all()
    until(lambda: [job(http, each)["status"] for each in ("child", "whatever")] == ["canceled", "queued"])
    message = "it waited for job parent to finish, which is failed"
    assert job(http, "child")["error"] == {"reason": "dependency_failed", "message": message, "traceback": ""}
    assert submit(http, "late", "parent").json()["status"] == "canceled"
    refused = http.post("/jobs/child/requeue")
    assert refused.status_code == 409
    assert "requeue that one" in refused.json()["detail"]
    assert http.post("/jobs/parent/requeue").json()["status"] == "queued"
    until(lambda: [job(http, each)["status"] for each in ("child", "late")] == ["deferred", "deferred"])
    worker.finish_all()
    until(lambda: [job(http, each)["status"] for each in ("child", "late")] == ["queued", "queued"])


def test_an_id_is_generated_and_a_repeat_of_an_own_one_changes_nothing(http: httpx.Client, worker: Worker) -> None:
    submit(http, "parent")
    first, repeat = (submit(http, "child", "parent") for _ in range(2))
    assert (first.status_code, repeat.status_code, repeat.json()["status"]) == (201, 200, "deferred")
    assert submit(http, "child", {"id": "parent", "when": "ended"}).status_code == 409
    generated = http.post("/jobs", json={"function": "noop", "depends_on": ["parent"]}).json()
    assert generated["status"] == "deferred"
    worker.finish_waiting()
    assert http.delete("/jobs/parent").status_code == 204
    again = submit(http, "child", "parent")
    assert again.status_code == 200, "the parent is gone, but this is the job that was accepted before"
    assert http.get("/status").json()["Jobs"] >= 1


@pytest.mark.parametrize("nothing", [[], None])
def test_a_job_that_waits_for_nothing_is_queued(http: httpx.Client, nothing: object) -> None:
    answer = http.post("/jobs", json={"function": "noop", "depends_on": nothing})
    assert (answer.status_code, answer.json()["status"]) == (201, "queued")


REFUSED = {
    "no such job": ({"depends_on": ["nobody"]}, "there is no job with the id 'nobody' to wait for"),
    "itself": ({"id": "me", "depends_on": ["me"]}, "a job cannot wait for itself"),
    "twice": ({"depends_on": ["parent", {"id": "parent", "when": "ended"}]}, "names a job more than once"),
    "too many": ({"depends_on": [f"job-{n}" for n in range(1001)]}, "at most 1000"),
    "unknown when": ({"depends_on": [{"id": "parent", "when": "failed"}]}, "finished"),
    "delay": ({"depends_on": ["parent"], "delay": 5}, "exclude each other"),
    "at": ({"depends_on": ["parent"], "at": "2099-01-01T00:00:00Z"}, "exclude each other"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_waited_for_is_refused_before_anything_is_written(http: httpx.Client, name: str) -> None:
    fields, words = REFUSED[name]
    submit(http, "parent")
    before = http.get("/status").json()
    answer = http.post("/jobs", json={"function": "noop", **fields})
    assert answer.status_code == 422, answer.text
    error = answer.json()["errors"][0]
    # What two fields say together belongs to none of them.
    assert error["field"].partition(".")[0] == ("" if "exclude" in words else "depends_on"), error
    assert words in error["message"]
    body = "".join(json.dumps({"function": "noop", **each}) + "\n" for each in ({"id": "good"}, fields))
    lines = http.post("/jobs/batch", content=body, headers={"Content-Type": "application/x-ndjson"}).text.splitlines()
    assert json.loads(lines[0]) == {"id": "good", "warning": json.loads(lines[0]).get("warning")}
    assert words in json.dumps(json.loads(lines[1])["error"])
    after = http.get("/status").json()
    assert after["Jobs"] == before["Jobs"] + 1


def test_a_key_cannot_wait_for_a_job_that_it_does_not_see(managers: tuple[ManagerProgram, ManagerProgram]) -> None:
    own, foreign = (
        as_(managers[0], create(managers[0], "jobs:write", "jobs:read", queues=[f"{name}-*"])["key"])
        for name in ("own", "foreign")
    )
    with own, foreign:
        assert submit(foreign, "secret", queue="foreign-1").status_code == 201
        assert submit(own, "parent", queue="own-1").status_code == 201
        refused, missing = (submit(own, "child", parent, queue="own-1") for parent in ("secret", "nobody"))
        assert refused.json()["detail"].replace("secret", "nobody") == missing.json()["detail"]
        assert submit(own, "child", "parent", queue="own-1").json()["status"] == "deferred"
