"""`/operations` over HTTP: started, worked through in the background, listed and canceled."""

from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.client import Client


def submit(http: httpx.Client, job_id: str, **fields: Any) -> None:
    answer = http.post("/jobs", json={"function": "noop", "id": job_id, **fields})
    assert answer.status_code == 201, answer.text


def ended(http: httpx.Client, operation_id: str) -> dict[str, Any]:
    """Wait until an operation has ended, and return it."""
    return dict(
        until(
            lambda: (answer := http.get(f"/operations/{operation_id}").json())["ended_at"] and answer, wanted="its end"
        )
    )


def test_an_operation_is_worked_through_in_the_background(http: httpx.Client, worker: Worker) -> None:
    for name in ("a", "b"):
        submit(http, name, labels={"order": "42"})
    worker.fail_all()
    body = {"action": "requeue", "filter": {"label": "order:42"}, "id": "mine"}
    answer = http.post("/operations", json=body)
    assert (answer.status_code, answer.headers["Location"]) == (201, "/operations/mine")
    assert (answer.json()["status"], answer.json()["filter"]) == ("queued", {"label": "order:42"})
    operation = ended(http, "mine")
    assert (operation["status"], operation["matched"], operation["changed"], operation["refused"]) == (
        "finished",
        2,
        2,
        0,
    )
    assert operation["created_by"] == "none"
    assert {http.get(f"/jobs/{name}").json()["status"] for name in ("a", "b")} == {"queued"}
    assert http.post("/operations", json=body).status_code == 200
    other = http.post("/operations", json={**body, "action": "delete"})
    assert (other.status_code, other.json()["type"]) == (409, "urn:workmanager:problem:operation-conflict")
    late = http.post("/operations/mine/cancel")
    assert (late.status_code, late.json()["type"]) == (409, "urn:workmanager:problem:wrong-status")
    assert [each["id"] for each in http.get("/operations").json()["operations"]] == ["mine"]
    for method, path in (("GET", "/operations/other"), ("POST", "/operations/other/cancel")):
        assert http.request(method, path).status_code == 404


def test_the_client_starts_operations(manager: ManagerProgram, http: httpx.Client) -> None:
    submit(http, "a", queue="q")
    with Client(manager.url) as client:
        counted = client.operations.start("cancel", queue="q", dry_run=True)
        assert (ended(http, counted["id"])["matched"], client.job("a")["status"]) == (1, "queued")
        started = client.operations.start("cancel", queue="q", function="noop", status=None)
        until(lambda: client.operations.show(started["id"])["changed"] == 1)
        assert client.job("a")["status"] == "canceled"
        assert [each["id"] for each in client.operations.list()] == [started["id"], counted["id"]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"action": "requeue"}, "filter: Field required"),
        ({"action": "requeue", "filter": {}}, "filter: give at least one of its fields"),
        ({"action": "requeue", "filter": {"queue": None}}, "filter: give at least one of its fields"),
        ({"action": "requeue", "filter": {"status": "queued"}}, "requeue changes only jobs that are failed, stopped"),
        ({"action": "delete", "filter": {"status": "started"}}, "delete changes only jobs that are scheduled"),
        ({"action": "purge", "filter": {"queue": "q"}}, "action: "),
        ({"action": "cancel", "filter": {"label": "order"}}, "filter.label: "),
        ({"action": "cancel", "filter": {"queues": "q"}}, "filter.queues: "),
    ],
)
def test_bad_operations_are_refused(http: httpx.Client, body: dict[str, Any], message: str) -> None:
    answer = http.post("/operations", json=body)
    assert answer.status_code == 422
    assert message in answer.json()["detail"]
    assert http.get("/operations").json() == {"operations": []}


def test_a_key_that_is_bound_to_queues_changes_jobs_and_sees_operations_of_its_own(first: ManagerProgram) -> None:
    scopes = ("jobs:read", "jobs:write")
    key = create(first, *scopes, queues=["operations-mine"])
    reader = create(first, "jobs:read")
    labels = {"operations": "both"}
    with as_(first, key["key"]) as mine, as_(first, OPERATOR) as operator, as_(first, reader["key"]) as reads:
        submit(mine, "operations-a", queue="operations-mine", labels=labels)
        submit(operator, "operations-b", queue="operations-others", labels=labels)
        refused = mine.post("/operations", json={"action": "cancel", "filter": {"queue": "operations-others"}})
        assert refused.status_code == 403
        body = {"action": "cancel", "filter": {"label": "operations:both"}}
        assert reads.post("/operations", json=body).status_code == 403
        foreign = operator.post("/operations", json={**body, "dry_run": True}).json()
        assert ended(operator, foreign["id"])["matched"] == 2
        operation = mine.post("/operations", json=body).json()
        assert operation["created_by"] == key["id"]
        assert ended(mine, operation["id"])["changed"] == 1
        assert operator.get("/jobs/operations-b").json()["status"] == "queued"
        assert [each["id"] for each in mine.get("/operations").json()["operations"]] == [operation["id"]]
        assert mine.get(f"/operations/{foreign['id']}").status_code == 404
        assert mine.post(f"/operations/{foreign['id']}/cancel").status_code == 404
        noted = operator.get("/audit?limit=1").json()["entries"][0]
        assert (noted["action"], noted["target"], noted["actor"]) == ("operation_started", operation["id"], key["id"])
        assert noted["after"]["filter"] == {"label": "operations:both"}
