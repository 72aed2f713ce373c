"""Who changed what: each change is shown with its author, as it was before and after, and without secrets."""

from typing import Any

import httpx
import pytest

from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until


def entries(client: httpx.Client, limit: int = 100) -> list[dict[str, Any]]:
    return list(client.get(f"/audit?limit={limit}").raise_for_status().json()["entries"])


def test_each_change_is_noted_with_its_author(first: ManagerProgram, operator: httpx.Client) -> None:
    admin = create(first, "admin")
    changes: list[tuple[str, str, dict[str, Any] | None, str, str, Any, Any]] = [
        ("POST", "/queues/reports/pause", None, "queue_paused", "reports", {"paused": False}, {"paused": True}),
        ("POST", "/queues/reports/resume", None, "queue_resumed", "reports", {"paused": True}, {"paused": False}),
        ("POST", "/scaler/pause", None, "scaler_paused", "", {"paused": False}, {"paused": True}),
        ("POST", "/scaler/resume", None, "scaler_resumed", "", {"paused": True}, {"paused": False}),
        (
            *("PUT", "/scaler/limits", {"min_workers": 1, "max_workers": 7}, "scaler_limited", ""),
            *({"min_workers": None, "max_workers": None}, {"min_workers": 1, "max_workers": 7}),
        ),
    ]
    with as_(first, admin["key"]) as client:
        for method, path, body, action, target, before, after in changes:
            # The repetition changes nothing.
            for _ in range(2):
                answer = client.request(method, path, json=body, headers={"X-Request-Id": f"my-{action}"})
                assert answer.status_code == 200, answer.text
            noted, earlier = entries(client, 2)
            assert noted == {
                "id": noted["id"],
                "at": noted["at"],
                "actor": admin["id"],
                "address": "127.0.0.1",
                "request_id": f"my-{action}",
                "action": action,
                "target": target,
                "before": before,
                "after": after,
            }
            assert earlier["action"] != action
    assert f"request=my-scaler_limited key={admin['id']}" in until(
        lambda: first.log if "/scaler/limits status=200" in first.log else ""
    )


def test_changes_of_keys_are_noted_without_their_secrets(first: ManagerProgram, operator: httpx.Client) -> None:
    created = operator.post(
        "/keys", json={"scopes": ["jobs:write"], "queues": ["a"], "limits": {"waiting_jobs": 5}}
    ).json()
    path = f"/keys/{created['id']}"
    rolled = operator.post(f"{path}/roll", json={"overlap": 60}).json()
    operator.put(f"{path}/limits", json={"waiting_jobs": None, "jobs_per_second": 2}).raise_for_status()
    operator.delete(path).raise_for_status()
    assert operator.delete(path).status_code == 404
    noted = [each for each in reversed(entries(operator)) if each["target"] == created["id"]]
    assert [each["action"] for each in noted] == [
        *("api_key_created", "api_key_rolled", "api_key_limited", "api_key_revoked")
    ]
    assert {each["actor"] for each in noted} == {"env-1"}
    key = {"scopes": ["jobs:write"], "queues": ["a"], "expires_at": None, "limits": {"waiting_jobs": 5}}
    assert noted[0]["before"] is None
    assert noted[0]["after"] == noted[1]["before"] == {**key, "secrets_until": [None]}
    newest, replaced = noted[1]["after"]["secrets_until"]
    assert (newest, round(replaced - noted[1]["at"])) == (None, 60)
    assert noted[2]["before"]["limits"] == {"waiting_jobs": 5}
    assert noted[2]["after"]["limits"] == noted[3]["before"]["limits"] == {"jobs_per_second": 2}
    assert noted[3]["after"] is None
    shown = operator.get("/audit?limit=1000").text
    for secret in (created["key"], rolled["key"], OPERATOR):
        assert secret[12:] not in shown


def test_refused_changes_are_not_noted(first: ManagerProgram, operator: httpx.Client) -> None:
    reader = create(first, "jobs:read")["key"]
    before = entries(operator, 1)
    with as_(first, reader) as client:
        for path in ("/queues/a/pause", "/scaler/pause", "/keys"):
            assert client.post(path).status_code == 403
        assert client.get("/audit").status_code == 403
    assert operator.put("/scaler/limits", json={"min_workers": 9, "max_workers": 1}).status_code == 409
    assert operator.post("/keys", json={"scopes": ["all"]}).status_code == 422
    assert operator.delete("/keys/unknown").status_code == 404
    assert entries(operator, 1) == before


def test_the_audit_stream_is_shown_page_by_page(operator: httpx.Client) -> None:
    for _ in range(2):
        for verb in ("pause", "resume"):
            operator.post(f"/queues/pages/{verb}").raise_for_status()
    seen, path = [], "/audit?limit=3"
    while True:
        page = operator.get(path).raise_for_status().json()
        seen += page["entries"]
        if page["cursor"] is None:
            break
        path = f"/audit?limit=3&cursor={page['cursor']}"
    assert seen == entries(operator, 1000)
    assert [each["action"] for each in seen[:4]] == ["queue_resumed", "queue_paused"] * 2
    assert operator.get("/audit?cursor=0-0").json() == {"entries": [], "cursor": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=x", "cursor=1-2-3", f"cursor={'9' * 19}-0"])
def test_a_wrong_page_is_refused(operator: httpx.Client, query: str) -> None:
    assert operator.get(f"/audit?{query}").status_code == 400


def test_a_manager_that_asks_nobody_who_they_are_says_so(http: httpx.Client) -> None:
    http.post("/queues/a/pause").raise_for_status()
    (noted,) = entries(http)
    assert (noted["actor"], noted["address"]) == ("none", "127.0.0.1")
