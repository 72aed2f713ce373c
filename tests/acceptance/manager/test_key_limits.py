"""Limits of API keys: what exceeds them is refused and changes nothing, and what is refused costs nothing."""

import base64
import json
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create, status
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.client import Client
from workmanager.commands.keys import main
from workmanager.errors import UsageError

ONE_ALONE = 0.001
"""A rate of which one goes through, and the next one a quarter of an hour later."""
NDJSON = {"Content-Type": "application/x-ndjson"}


def submit(client: httpx.Client, **job: Any) -> httpx.Response:
    return client.post("/jobs", json={"function": "noop", **job})


def batch(client: httpx.Client, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/jobs/batch", content="\n".join(map(json.dumps, jobs)), headers=NDJSON)
    return [json.loads(line) for line in answer.raise_for_status().text.splitlines()]


def check_refusal(answer: httpx.Response, name: str) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (429, "application/problem+json"), answer.text
    assert answer.json()["type"] == f"urn:workmanager:problem:{name}"
    assert int(answer.headers["Retry-After"]) == answer.json()["retry_after"] >= 1


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/jobs"), ("POST", "/pullCompleted?top=1"), ("PUT", "/enqueue?iterations=1")]
)
def test_requests_beyond_the_rate_are_refused_at_each_manager_by_itself(
    managers: tuple[ManagerProgram, ManagerProgram], method: str, path: str
) -> None:
    one, other = managers
    key = create(one, "jobs:read", "results:pull", "jobs:write", limits={"requests_per_second": ONE_ALONE})["key"]
    until(lambda: status(other, key, "GET", "/keys") != 401, wanted="the key at the other manager")
    with as_(one, key) as client:
        assert client.request(method, path).status_code == 200
        check_refusal(client.request(method, path), "rate-exceeded")
    assert status(other, key, method, path) == 429, "the request for which the test waited"
    assert status(one, OPERATOR, method, path) == 200


def test_a_rate_lets_through_again_what_it_says(first: ManagerProgram) -> None:
    key = create(first, "jobs:read", limits={"requests_per_second": 1})["key"]
    with as_(first, key) as client:
        for code in (200, 429, 200):
            until(lambda code=code: client.get("/jobs").status_code == code, 10)  # type: ignore[misc]
    # The client waits as it is told.
    key = create(first, "jobs:write", limits={"jobs_per_second": 2})["key"]
    with Client(first.url, key) as client:
        assert len({client.enqueue(b"x", iterations=1) for _ in range(3)}) == 3


def test_jobs_beyond_the_rate_are_refused_and_what_is_refused_costs_nothing(first: ManagerProgram) -> None:
    key = create(first, "jobs:write", "jobs:read", limits={"jobs_per_second": ONE_ALONE})["key"]
    with as_(first, key) as client:
        assert client.put("/enqueue?iterations=0").status_code == 400
        assert client.put("/enqueue?iterations=1", content=bytes(2**20 + 1)).status_code == 413
        assert submit(client, function="unknown").status_code == 422
        assert submit(client, id="once", queue="rates", kwargs={"a": 1}).status_code == 201
        for answer in (
            submit(client, id="twice", queue="rates"),
            client.put("/enqueue?iterations=1&id=twice"),
            submit(client, id="once", queue="rates", kwargs={"a": 1}),
        ):
            check_refusal(answer, "rate-exceeded")
        (refused,) = batch(client, {"function": "noop", "id": "twice"})
        assert (refused["error"]["status"], refused["error"]["retry_after"] >= 1) == (429, True)
        assert client.get("/jobs/twice").status_code == 404


def test_a_batch_is_counted_by_its_jobs(first: ManagerProgram) -> None:
    key = create(first, "jobs:write", limits={"jobs_per_second": ONE_ALONE})["key"]
    with as_(first, key) as client:
        lines = batch(client, {"function": "unknown"}, *[{"function": "noop", "queue": "batches"}] * 3)
    assert [line.get("error", {}).get("status") for line in lines] == [422, None, 429, 429]


def test_a_job_that_was_there_already_costs_nothing(first: ManagerProgram, operator: httpx.Client) -> None:
    assert submit(operator, id="there", queue="repeats").status_code == 201
    key = create(first, "jobs:write", limits={"jobs_per_second": ONE_ALONE})["key"]
    with as_(first, key) as client:
        for _ in range(2):
            assert submit(client, id="there", queue="repeats").status_code == 200
            assert submit(client, id="there", queue="others").status_code == 409
            assert client.put("/enqueue?iterations=1&id=there").status_code == 409
            assert "id" in batch(client, {"function": "noop", "id": "there", "queue": "repeats"})[0]
        assert submit(client, queue="repeats").status_code == 201


def test_a_payload_beyond_the_limit_is_refused(first: ManagerProgram) -> None:
    key = create(first, "jobs:write", limits={"payload_bytes": 1024})["key"]
    fits, exceeds = bytes(1024), bytes(1025)
    as_text = {data: base64.b64encode(data).decode() for data in (fits, exceeds)}
    with as_(first, key) as client:
        for data, code in ((fits, 200), (exceeds, 413)):
            assert client.put("/enqueue?iterations=1", content=data).status_code == code
            assert client.put("/enqueue?iterations=1", files={"data": data}).status_code == code
        call = {"function": "sha512", "kwargs": {"iterations": 1}}
        assert submit(client, **call, data=as_text[fits]).status_code == 201
        for job in (
            {**call, "data": as_text[exceeds]},
            {"function": "noop", "args": ["x" * 1024]},
            {"function": "noop", "meta": {"x": "x" * 1024}},
        ):
            assert submit(client, **job).json()["limit_bytes"] == 1024
            assert batch(client, job)[0]["error"]["status"] == 413


def test_a_queue_takes_no_more_of_a_key_than_may_wait(first: ManagerProgram, operator: httpx.Client) -> None:
    key = create(first, "jobs:write", limits={"waiting_jobs": 3})["key"]
    with as_(first, key) as client:
        codes = [submit(client, queue="deep", **job).status_code for job in ({}, {"id": "later", "delay": 600}, {})]
        assert codes == [201, 201, 201]
        check_refusal(submit(client, queue="deep"), "too-many-waiting")
        assert batch(client, {"function": "noop", "queue": "deep"})[0]["error"]["status"] == 429
        assert submit(operator, queue="deep").status_code == 201
        assert submit(client, queue="elsewhere").status_code == 201
        # Not only what this manager has counted itself: the queue has been looked at meanwhile.
        for job in operator.get("/jobs?queue=deep&status=queued").json()["jobs"][1:]:
            check_refusal(submit(client, queue="deep"), "too-many-waiting")
            operator.delete(f"/jobs/{job['id']}").raise_for_status()
        until(lambda: submit(client, queue="deep").status_code == 201, 10, wanted="room in the queue")


def test_limits_are_shown_and_changed_while_the_key_is_in_use(
    first: ManagerProgram, operator: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    def keys(*arguments: str) -> dict[str, Any]:
        assert main([*arguments, "--url", first.url, "--key", OPERATOR, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))

    created = keys("create", "--scope", "jobs:read", "--requests-per-second", "0.001", "--waiting-jobs", "7")
    limits = {"requests_per_second": 0.001, "jobs_per_second": None, "payload_bytes": None, "waiting_jobs": 7}
    assert created["limits"] == keys("list")["limits"] == limits
    assert [status(first, created["key"]) for _ in range(2)] == [200, 429]
    changed = keys("limit", created["id"], "--requests-per-second", "none", "--payload-bytes", "2048")
    assert changed["limits"] == {**limits, "requests_per_second": None, "payload_bytes": 2048}
    assert [status(first, created["key"]) for _ in range(3)] == [200] * 3
    assert f"event=api_key_limited key={created['id']} by=env-1 payload_bytes=2048 waiting_jobs=7" in first.log
    rolled = operator.post(f"/keys/{created['id']}/roll", json={}).json()
    assert rolled["limits"] == changed["limits"]
    for limit, value in (("requests_per_second", 0), ("payload_bytes", 1), ("waiting_jobs", -1), ("others", 1)):
        refused = operator.put(f"/keys/{created['id']}/limits", json={limit: value})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, limit)
    assert operator.put("/keys/unknown/limits", json={"waiting_jobs": 1}).status_code == 404
    with pytest.raises(UsageError, match="none"):
        keys("limit", created["id"], "--waiting-jobs", "many")
    with pytest.raises(UsageError, match="give a limit"):
        keys("limit", created["id"])
