"""API keys: created and revoked through one manager, they hold at all of them, and open what they are for."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create, status
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.commands.keys import main
from workmanager.errors import ClientError, UsageError
from workmanager.local.valkey import ValkeyServer

HOLDS_WITHIN_SECONDS = 5.0
QUEUE_METRICS = {
    f"workmanager_queue_{what}"
    for what in ("jobs", "runnable_limited_jobs", "oldest_job_age_seconds", "served", "paused")
}


def test_a_key_holds_at_every_manager_from_its_creation_to_its_revocation(
    managers: tuple[ManagerProgram, ManagerProgram],
) -> None:
    one, other = managers
    key = create(one, "jobs:read")
    assert key["key"].startswith(f"wm_{key['id']}_")
    assert status(one, key["key"]) == 200
    until(lambda: status(other, key["key"]) == 200, wanted="the key at the other manager")
    with as_(other, OPERATOR) as operator:
        (listed,) = [each for each in operator.get("/keys").json()["keys"] if each["id"] == key["id"]]
        assert listed == {name: value for name, value in key.items() if name != "key"}
        assert listed["created_by"] == "env-1"
        assert operator.delete(f"/keys/{key['id']}").status_code == 204
        revoked_at = time.monotonic()
        assert operator.delete(f"/keys/{key['id']}").status_code == 404
    assert status(other, key["key"]) == 401
    until(lambda: status(one, key["key"]) == 401, wanted="the revocation at the other manager")
    assert time.monotonic() - revoked_at < HOLDS_WITHIN_SECONDS


def test_a_pull_that_waits_with_a_key_that_is_revoked_gets_no_result(
    managers: tuple[ManagerProgram, ManagerProgram], operator: httpx.Client
) -> None:
    one, other = managers
    key = create(one, "results:pull")
    until(lambda: status(other, key["key"], "POST", "/pullCompleted?top=1") == 200, wanted="the key there")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(status, other, key["key"], "POST", "/pullCompleted?top=1&wait=40")
        assert operator.delete(f"/keys/{key['id']}").status_code == 204
        # The pull answers when the manager looks for results the next time, at the latest 2 s after it has noticed.
        assert waiting.result(HOLDS_WITHIN_SECONDS + 15) == 401


def test_the_access_log_names_the_key_and_never_its_secret(first: ManagerProgram, operator: httpx.Client) -> None:
    key = create(first, "jobs:read")
    assert status(first, key["key"], "GET", "/jobs/one") == 404
    assert status(first, key["key"], "GET", "/jobs/three/cancel") == 405
    assert operator.get("/jobs/two").status_code == 404
    lines = until(lambda: _lines(first, "/jobs/one", "/jobs/three/cancel", "/jobs/two"))
    assert [line.rpartition(" ")[2] for line in lines] == [f"key={key['id']}", f"key={key['id']}", "key=env-1"]
    assert f"event=api_key_created key={key['id']} scopes=jobs:read queues=* by=env-1" in first.log
    assert key["key"][12:] not in first.log
    assert OPERATOR not in first.log


def _lines(manager: ManagerProgram, *parts: str) -> list[str] | None:
    lines = [line for part in parts for line in manager.log.splitlines() if f"{part} status=" in line]
    return lines if len(lines) == len(parts) else None


def test_a_key_opens_the_routes_of_its_scopes(first: ManagerProgram) -> None:
    keys = {scope: create(first, scope)["key"] for scope in ("jobs:write", "jobs:read", "results:pull", "admin")}
    requests = {
        ("PUT", "/enqueue?iterations=1"): {"jobs:write"},
        ("POST", "/queues/default/requeue-failed"): {"jobs:write"},
        ("GET", "/jobs"): {"jobs:read"},
        ("GET", "/metrics"): {"jobs:read"},
        ("POST", "/pullCompleted?top=1"): {"results:pull"},
        ("POST", "/queues/default/resume"): set(),
        ("GET", "/keys"): set(),
        ("GET", "/openapi.json"): {"jobs:write", "jobs:read", "results:pull"},
    }
    for (method, path), scopes in requests.items():
        for scope, key in keys.items():
            expected = 200 if scope in scopes | {"admin"} else 403
            assert status(first, key, method, path) == expected, (method, path, scope)
    with as_(first, keys["jobs:read"]) as reader:
        refused = reader.put("/enqueue?iterations=1")
        assert refused.json()["type"] == "urn:workmanager:problem:forbidden"
        assert 'scope="jobs:write"' in refused.headers["WWW-Authenticate"]
        assert reader.head("/jobs").status_code == 200
        assert reader.get("/keys%0A").status_code == 403
        assert reader.get("/nowhere").status_code == 404
        assert reader.patch("/jobs").status_code == 405


def test_a_key_that_is_bound_to_queues_sees_nothing_of_others(first: ManagerProgram, operator: httpx.Client) -> None:
    def submit(client: httpx.Client, queue: str, job_id: str) -> int:
        return client.post("/jobs", json={"function": "noop", "queue": queue, "id": job_id}).status_code

    bound = create(first, "jobs:write", "jobs:read", queues=["reports-*"])["key"]
    with as_(first, bound) as tenant:
        assert submit(operator, "secret-plans", "theirs") == 201
        assert submit(tenant, "reports-a", "ours") == 201
        assert submit(tenant, "secret-plans", "smuggled") == 403
        assert tenant.put("/enqueue?iterations=1", content=b"x").status_code == 403
        lines = [json.dumps({"function": "noop", "queue": queue}) for queue in ("secret-plans", "reports-b")]
        answer = tenant.post(
            "/jobs/batch", content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
        ).text.splitlines()
        assert ["error" in json.loads(line) for line in answer] == [True, False]
        operator.post("/queues/secret-plans/pause").raise_for_status()

        missing = tenant.get("/jobs/nothing").json()["detail"].replace("nothing", "theirs")
        for method, path in (
            ("GET", "/jobs/theirs"),
            ("GET", "/jobs/theirs?wait=1"),
            ("POST", "/jobs/theirs/cancel"),
            ("POST", "/jobs/theirs/requeue"),
            ("DELETE", "/jobs/theirs"),
        ):
            refused = tenant.request(method, path)
            assert (refused.status_code, refused.json()["detail"]) == (404, missing), path
        assert tenant.get("/jobs/ours").json()["queue"] == "reports-a"
        assert tenant.post("/queues/secret-plans/requeue-failed").json() == {"requeued": 0}
        for path in ("/workers", "/scaler"):
            assert tenant.get(path).status_code == 403
        assert tenant.get("/jobs?queue=secret-plans").json() == {"jobs": [], "cursor": None}
        # A cursor that another key got leads to no other queue.
        cursor = operator.get("/jobs?queue=secret-plans&limit=1").json()["cursor"]
        shown = "".join(
            tenant.get(path).text for path in ("/jobs", "/queues", "/status", "/metrics", f"/jobs?cursor={cursor}")
        )
        assert "secret-plans" not in shown
        assert "theirs" not in shown
        assert [queue["name"] for queue in tenant.get("/queues").json()["queues"]] == ["reports-a", "reports-b"]
        assert tenant.get("/status").json()["Jobs"] == 2
        metrics = tenant.get("/metrics").text
        assert 'workmanager_queue_jobs{queue="reports-a",status="queued"} 1.0' in metrics
        assert {line.partition("{")[0] for line in metrics.splitlines() if not line.startswith("#")} == QUEUE_METRICS
    assert operator.get("/jobs/theirs").json()["status"] == "queued"


def test_a_rolled_key_and_the_one_before_work_side_by_side(
    managers: tuple[ManagerProgram, ManagerProgram], operator: httpx.Client
) -> None:
    one, other = managers
    key = create(one, "jobs:read")
    rolled = operator.post(f"/keys/{key['id']}/roll", json={"overlap": 3}).json()
    assert (rolled["id"], rolled["secrets"]) == (key["id"], 2)
    assert status(one, key["key"]) == 200
    assert status(one, rolled["key"]) == 200
    for manager in (one, other):
        until(lambda at=manager: status(at, key["key"]) == 401, wanted="the end of the overlap")  # type: ignore[misc]
        assert status(manager, rolled["key"]) == 200
    assert operator.post("/keys/unknown/roll").status_code == 404


def test_a_key_ends_at_its_expiry(first: ManagerProgram, operator: httpx.Client) -> None:
    key = create(first, "jobs:read", expires=2)
    assert status(first, key["key"]) == 200
    until(lambda: status(first, key["key"]) == 401, wanted="the key's end")
    (listed,) = [each for each in operator.get("/keys").json()["keys"] if each["id"] == key["id"]]
    assert listed["expired"] is True
    assert operator.post(f"/keys/{key['id']}/roll", json={}).status_code == 409


def test_the_command_line_creates_lists_rolls_and_revokes(
    first: ManagerProgram, capsys: pytest.CaptureFixture[str]
) -> None:
    def keys(*arguments: str) -> dict[str, Any]:
        assert main([*arguments, "--url", first.url, "--key", OPERATOR, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))

    created = keys(
        "create", "--scope", "jobs:write", "--scope", "jobs:read", "--queue", "reports-*", "--expires", "90d"
    )
    assert (created["scopes"], created["queues"]) == (["jobs:read", "jobs:write"], ["reports-*"])
    assert created["expires_at"] - created["created_at"] == 90 * 86400
    assert keys("list") == {name: value for name, value in created.items() if name != "key"}
    rolled = keys("roll", created["id"], "--overlap", "24h")
    assert rolled["id"] == created["id"]
    assert [status(first, each["key"]) for each in (created, rolled)] == [200, 200]
    assert keys("revoke", created["id"], "--yes") == {"id": created["id"], "revoked": True}
    assert [status(first, each["key"]) for each in (created, rolled)] == [401, 401]
    with pytest.raises(ClientError, match="no API key"):
        keys("roll", created["id"])
    with pytest.raises(UsageError, match="90 days"):
        keys("create", "--scope", "admin", "--expires", "90 days")


def test_a_key_that_makes_no_sense_is_not_created(operator: httpx.Client) -> None:
    before = operator.get("/keys").json()
    bodies: list[tuple[dict[str, Any], str]] = [
        ({}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"scopes": ["jobs:read"], "queues": ["a b"]}, "queues.0"),
        ({"scopes": ["jobs:read"], "expires": 0}, "expires"),
        ({"scopes": ["jobs:read"], "secret": "mine"}, "secret"),
        ({"scopes": ["admin"], "queues": ["a"]}, ""),
        ({"scopes": ["results:pull"], "queues": ["a"]}, ""),
    ]
    for body, field in bodies:
        answer = operator.post("/keys", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field
    assert operator.get("/keys").json() == before


def test_keys_from_redis_are_checked_only_where_redis_was_read_a_moment_ago(
    start: Start, private_server: ValkeyServer
) -> None:
    manager = start(private_server.url, API_KEYS=OPERATOR).wait_until_ready()
    key = create(manager, "jobs:read")["key"]
    private_server.pause()
    try:
        until(lambda: status(manager, key, "GET", "/openapi.json") == 503, wanted="503 while nobody knows")
        until(lambda: "event=api_keys_unknown" in manager.log, wanted="a line in the log")
        assert status(manager, OPERATOR, "GET", "/openapi.json") == 200
        assert status(manager, "wrong", "GET", "/openapi.json") == 401
    finally:
        private_server.resume()
    until(lambda: status(manager, key) == 200, wanted="the key works again")


def test_a_manager_without_keys_creates_none(http: httpx.Client) -> None:
    answer = http.post("/keys", json={"scopes": ["admin"]})
    assert answer.status_code == 409
    assert "WORKMANAGER_API_KEYS" in answer.json()["detail"]
    assert http.get("/keys").json() == {"keys": []}
