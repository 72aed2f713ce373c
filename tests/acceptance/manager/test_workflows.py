"""Workflows over HTTP: graphs of jobs that are submitted as a whole, watched, canceled and run again."""

import asyncio
from typing import Any

import httpx
import pytest

from jobqueue import keys
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.maintenance.deferred_jobs import register_overdue
from jobqueue.model import NewJob
from jobqueue.sharding.shards import Shards
from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until

DIAMOND: dict[str, Any] = {
    "jobs": {
        "fetch": {"function": "noop"},
        "left": {"function": "noop", "depends_on": ["fetch"]},
        "right": {"function": "noop", "depends_on": [{"id": "fetch", "when": "finished"}]},
        "join": {"function": "noop", "depends_on": ["left", "right"]},
    },
    "finally": {"function": "noop", "queue": "last"},
}


def shown(http: httpx.Client, workflow_id: str) -> tuple[str, dict[str, Any]]:
    """Return the status of a workflow, and those of its jobs."""
    answer = http.get(f"/workflows/{workflow_id}").json()
    return answer["status"], {name: job["status"] for name, job in answer["jobs"].items()}


@pytest.fixture
def last(redis_url: str) -> Worker:
    """A worker of the queue of the job that runs when all others have ended."""
    return Worker(redis_url, "last")


def test_jobs_run_in_the_order_of_the_graph_and_the_last_one_at_the_end(
    http: httpx.Client, worker: Worker, last: Worker
) -> None:
    answer = http.post("/workflows", json=DIAMOND)
    assert answer.status_code == 201, answer.text
    ids = answer.json()["jobs"]
    assert list(ids) == ["fetch", "left", "right", "join", "finally"]
    location = answer.headers["Location"]
    assert location == f"/workflows/{answer.json()['id']}"
    waiting = "deferred"
    expected = [
        {"fetch": "queued", "left": waiting, "right": waiting, "join": waiting, "finally": waiting},
        {"fetch": "finished", "left": "queued", "right": "queued", "join": waiting, "finally": waiting},
        {"fetch": "finished", "left": "finished", "right": "finished", "join": "queued", "finally": waiting},
        {"fetch": "finished", "left": "finished", "right": "finished", "join": "finished", "finally": "queued"},
    ]
    for statuses in expected:
        until(lambda statuses=statuses: shown(http, answer.json()["id"]) == ("running", statuses))
        worker.finish_waiting()
    last.finish_all()
    document = http.get(location).json()
    assert (document["status"], document["counts"]) == ("finished", {"finished": 5})
    assert document["jobs"]["join"]["depends_on"] == [
        {"job": "left", "when": "finished"},
        {"job": "right", "when": "finished"},
    ]
    assert http.get(f"/jobs/{ids['join']}").json()["depends_on"] == [ids["left"], ids["right"]]


def test_a_failure_ends_what_waits_for_it_and_a_retry_runs_it_all(
    http: httpx.Client, worker: Worker, last: Worker
) -> None:
    workflow_id = http.post("/workflows", json=DIAMOND).json()["id"]
    worker.fail_all()
    failed = {"fetch": "failed", **dict.fromkeys(("left", "right", "join"), "canceled")}
    until(lambda: shown(http, workflow_id) == ("running", {**failed, "finally": "queued"}))
    last.finish_all()
    assert shown(http, workflow_id) == ("failed", {**failed, "finally": "finished"})
    assert http.post(f"/workflows/{workflow_id}/retry").json() == {"id": workflow_id, "requeued": 1}
    deferred = dict.fromkeys(("left", "right", "join", "finally"), "deferred")
    until(lambda: shown(http, workflow_id) == ("running", {"fetch": "queued", **deferred}))
    until(lambda: worker.finish_all() + last.finish_all() == 0 and shown(http, workflow_id)[0] == "finished")


def test_a_canceled_workflow_runs_its_last_job(http: httpx.Client, worker: Worker, last: Worker) -> None:
    workflow_id = http.post("/workflows", json=DIAMOND).json()["id"]
    answer = http.post(f"/workflows/{workflow_id}/cancel").json()
    assert (answer["stopping"], answer["canceled"]) == (0, 4)
    until(lambda: last.finish_all() == 1)
    assert shown(http, workflow_id)[0] == "canceled"
    assert worker.finish_all() == 0
    assert http.post(f"/workflows/{workflow_id}/retry").json()["requeued"] == 4
    until(lambda: worker.finish_all() + last.finish_all() == 0 and shown(http, workflow_id)[0] == "finished")


def test_a_workflow_waits_for_jobs_outside_of_it(http: httpx.Client, worker: Worker) -> None:
    http.post("/jobs", json={"function": "noop", "id": "outside", "queue": "other"})
    answer = http.post("/workflows", json={"jobs": {"inside": {"function": "noop", "depends_on": ["outside"]}}})
    assert shown(http, answer.json()["id"]) == ("running", {"inside": "deferred"})
    assert http.post("/jobs/outside/cancel").status_code == 200
    until(lambda: shown(http, answer.json()["id"]) == ("canceled", {"inside": "canceled"}))
    assert worker.finish_all() == 0


def test_a_repeat_with_an_own_id_changes_nothing(http: httpx.Client) -> None:
    first, repeat = (http.post("/workflows", json={**DIAMOND, "id": "mine"}) for _ in range(2))
    assert (first.status_code, repeat.status_code) == (201, 200)
    assert first.json() == repeat.json()
    assert http.get("/status").json()["Jobs"] == 5
    other = http.post("/workflows", json={"jobs": {"other": {"function": "noop"}}, "id": "mine"})
    assert (other.status_code, other.json()["type"]) == (409, "urn:workmanager:problem:workflow-conflict")
    assert http.get("/status").json()["Jobs"] == 5


def _job(**fields: Any) -> dict[str, Any]:
    return {"function": "noop", **fields}


PARENTS = [f"job-{n}" for n in range(1000)]
CYCLE = {"a": _job(depends_on=["c"]), "b": _job(depends_on=["a"]), "c": _job(depends_on=["b"])}
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "cycle": ({"jobs": CYCLE}, "jobs.a.depends_on", "these jobs wait for each other: a -> c -> b -> a"),
    "itself": ({"jobs": {"a": _job(depends_on=["a"])}}, "jobs.a.depends_on", "a -> a"),
    "twice": ({"jobs": {"a": _job(), "b": _job(depends_on=["a", "a"])}}, "jobs.b.depends_on", "more than once"),
    "unknown parent": ({"jobs": {"a": _job(depends_on=["typo"])}}, "depends_on", "'typo' to wait for"),
    "unknown function": ({"jobs": {"a": {"function": "nope"}}}, "jobs.a.function", "is not registered"),
    "own id": ({"jobs": {"a": _job(id="x")}}, "jobs.a", "has no 'id'"),
    "delay": ({"jobs": {"a": _job(delay=5)}}, "jobs.a", "has no 'delay'"),
    "none": ({"jobs": {}}, "jobs", "at least 1"),
    "too many jobs": ({"jobs": {f"job-{n}": _job() for n in range(5001)}}, "jobs", "at most 5000"),
    "too many edges": (
        {"jobs": {name: _job() for name in PARENTS} | {f"c{n}": _job(depends_on=PARENTS) for n in range(51)}},
        "jobs",
        "at most 50000",
    ),
    "finally that waits": ({"jobs": {"a": _job()}, "finally": _job(depends_on=["a"])}, "", "has no 'depends_on'"),
    "finally as a name": ({"jobs": {"finally": _job()}}, "", "stands beside 'jobs'"),
    "bad name": ({"jobs": {"a b": _job()}}, "jobs.a b.[key]", "pattern"),
    "unknown field": ({"jobs": {"a": _job(colour="red")}}, "jobs.a.colour", "there is no such field"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_graph_that_cannot_run_is_refused_before_anything_is_written(http: httpx.Client, name: str) -> None:
    body, field, words = REFUSED[name]
    answer = http.post("/workflows", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field
    assert words in answer.json()["errors"][0]["message"]
    assert http.get("/status").json()["Jobs"] == 0


def test_what_does_not_exist_is_not_found(http: httpx.Client) -> None:
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        answer = http.request(method, f"/workflows/nobody{path}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:workmanager:problem:no-such-workflow")


def test_five_thousand_jobs_in_one_request(http: httpx.Client, worker: Worker, last: Worker) -> None:
    jobs = {f"job-{n}": _job(depends_on=[f"job-{n // 10}"] if n else []) for n in range(5000)}
    jobs["job-0"].pop("depends_on")
    answer = http.post("/workflows", json={"jobs": jobs, "finally": _job(queue="last")}, timeout=60)
    assert answer.status_code == 201, answer.text
    until(lambda: worker.finish_all() + last.finish_all() == 0 and shown(http, answer.json()["id"])[0] == "finished")
    assert http.get(f"/workflows/{answer.json()['id']}").json()["counts"] == {"finished": 5001}


def test_nothing_remains_of_a_workflow_whose_manager_died_before_all_was_written(redis_url: str) -> None:
    async def scenario() -> None:
        shards = await Shards.connect(redis_url)
        (shard,) = shards.all
        await shard.execute(
            ("HSET", keys.workflow(shard.prefix, "w"), "state", "writing", "members", '{"a":["a","noop","default",[]]}')
        )
        await enqueue(shard, [NewJob("a", "noop", b"[]", depends_on=(), workflow_id="w")])
        await shard.execute(("ZADD", keys.registering(shard.prefix), "XX", 1, "a"))
        assert await register_overdue(shards, shard) == 0
        left = await shard.execute(
            ("EXISTS", keys.job(shard.prefix, "a")),
            ("ZCARD", keys.registry(shard.prefix, "deferred", "default")),
            ("HGET", keys.workflow(shard.prefix, "w"), "state"),
        )
        assert left == [0, 0, b"abandoned"]
        await shards.close()

    asyncio.run(scenario())


def test_a_key_sees_a_workflow_only_if_it_sees_all_of_its_queues(
    managers: tuple[ManagerProgram, ManagerProgram], operator: httpx.Client
) -> None:
    with as_(managers[0], create(managers[0], "jobs:write", "jobs:read", queues=["mine-*"])["key"]) as bound:
        own = bound.post("/workflows", json={"jobs": {"a": _job(queue="mine-1")}})
        mixed = {"jobs": {"a": _job(queue="mine-1"), "b": _job(queue="foreign")}}
        assert (own.status_code, bound.post("/workflows", json=mixed).status_code) == (201, 403)
        foreign = operator.post("/workflows", json=mixed).json()["id"]
        for path in ("", "/cancel", "/retry"):
            method = "POST" if path else "GET"
            assert bound.request(method, f"/workflows/{foreign}{path}").status_code == 404
            assert bound.request(method, f"/workflows/{own.json()['id']}{path}").status_code == 200
