"""`/scaler` of a running manager with local workers: a worker's life, and what operators can change."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until


@pytest.fixture
def scaling(start: Start, redis_url: str) -> ManagerProgram:
    settings = {"MAX_WORKERS": "2", "WORKER_SLOTS": "1", "PRICE_PER_HOUR": "0.5"}
    return start(redis_url, "--scaler", "local", **settings).wait_until_ready()


@pytest.fixture
def http(scaling: ManagerProgram) -> Iterator[httpx.Client]:
    """A client of the manager."""
    with scaling.client() as client:
        yield client


@pytest.fixture
def without_scaler(manager: ManagerProgram) -> Iterator[httpx.Client]:
    """A client of a manager without a scaler."""
    with manager.client() as client:
        yield client


def _scaler(http: httpx.Client) -> dict[str, Any]:
    answer = http.get("/scaler")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_shows_a_workers_life(scaling: ManagerProgram, http: httpx.Client) -> None:
    until(lambda: _scaler(http)["leader"] == _address(scaling))
    assert _scaler(http)["limits"] == {"min_workers": 0, "max_workers": 2, "budget_per_hour": None}
    job = http.post("/jobs", json={"function": "sleep", "kwargs": {"seconds": 5}}).json()
    states: list[str] = []
    costs: set[float] = set()

    def has_run() -> bool:
        shown = _scaler(http)
        costs.add(shown["cost_per_hour"])
        for instance in shown["instances"]:
            if [instance["state"]] != states[-1:]:
                states.append(instance["state"])
        return http.get(f"/jobs/{job['id']}").json()["status"] == "finished"

    until(has_run)
    until(lambda: not _scaler(http)["instances"], wanted="the end of the worker")
    assert states[0] == "booting"
    assert "busy" in states
    assert costs == {0.0, 0.5}
    shown = _scaler(http)
    verbs = [decision["reason"].split()[0] for decision in shown["decisions"]]
    assert "LAUNCH" in verbs
    assert "DRAIN" in verbs
    assert shown["observation"]["numbers"]["max"] == 2
    metrics = http.get("/metrics").text
    assert "workmanager_scaler_is_leader 1.0" in metrics
    assert 'workmanager_scaler_instances_terminated_total{reason="idle"} 1.0' in metrics
    assert "workmanager_scaler_boot_duration_seconds_count 1.0" in metrics


def test_operators_pause_and_limit_it(http: httpx.Client) -> None:
    assert http.post("/scaler/pause").json()["paused"] is True
    http.post("/jobs", json={"function": "noop"})
    until(lambda: "PAUSED" in ((_scaler(http)["observation"] or {}).get("reason", "")))
    assert _scaler(http)["instances"] == []
    overrides = http.put("/scaler/limits", json={"max_workers": 1, "budget_per_hour": 2.5}).json()
    assert overrides == {"paused": True, "limits": {"min_workers": 0, "max_workers": 1, "budget_per_hour": 2.5}}
    overrides = http.put("/scaler/limits", json={"max_workers": None}).json()
    assert overrides["limits"] == {"min_workers": 0, "max_workers": 2, "budget_per_hour": 2.5}
    assert http.post("/scaler/resume").json()["paused"] is False
    until(lambda: _scaler(http)["instances"])


@pytest.mark.parametrize(
    "body", ['{"max_workers": -1}', '{"max": 1}', '{"max_workers": "2"}', '{"budget_per_hour": "x"}']
)
def test_wrong_limits_change_nothing(without_scaler: httpx.Client, body: str) -> None:
    answer = without_scaler.put("/scaler/limits", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert _scaler(without_scaler)["limits"]["min_workers"] == 0


def test_a_minimum_above_the_maximum_is_refused(without_scaler: httpx.Client) -> None:
    def put(**limits: int | None) -> httpx.Response:
        return without_scaler.put("/scaler/limits", json=limits)

    refused = put(min_workers=3, max_workers=1)
    assert (refused.status_code, "min_workers 3 is more than max_workers 1" in refused.text) == (409, True)
    assert _scaler(without_scaler)["limits"]["min_workers"] == 0
    assert put(max_workers=1).is_success
    assert put(min_workers=2).status_code == 409
    assert put(min_workers=1).is_success
    assert put(min_workers=2, max_workers=2).json()["limits"] == {
        "min_workers": 2,
        "max_workers": 2,
        "budget_per_hour": None,
    }
    assert put(max_workers=1).json()["limits"]["min_workers"] == 1  # the maximum applies
    assert put(min_workers=None, max_workers=None).json()["limits"]["min_workers"] == 0


def test_a_budget_is_rejected_without_a_configured_price(without_scaler: httpx.Client) -> None:
    answer = without_scaler.put("/scaler/limits", json={"max_workers": 7, "budget_per_hour": 2.5})
    assert answer.status_code == 409
    assert "WORKMANAGER_PRICE_PER_HOUR" in answer.json()["detail"]
    assert _scaler(without_scaler)["limits"]["max_workers"] != 7


def test_without_a_scaler_nobody_leads(without_scaler: httpx.Client) -> None:
    shown = _scaler(without_scaler)
    assert (shown["leader"], shown["observation"], shown["instances"], shown["decisions"]) == (None, None, [], [])


def test_leadership_passes_at_once_from_a_stopped_and_soon_from_a_killed_manager(start: Start, redis_url: str) -> None:
    managers = [start(redis_url, "--scaler", "local", MAX_WORKERS="1").wait_until_ready() for _ in range(3)]
    first = _leader(managers)
    first.stop()
    managers.remove(first)
    # It has released its lease, which otherwise would last for seconds.
    with managers[0].client() as http:
        assert _scaler(http)["leader"] != _address(first)
    second = _leader(managers)
    second.kill()
    managers.remove(second)
    _leader(managers)


def _leader(managers: list[ManagerProgram]) -> ManagerProgram:
    """Return the manager that is the leader."""
    by_address = {_address(manager): manager for manager in managers}
    with managers[0].client() as http:
        return until(lambda: by_address.get(_scaler(http)["leader"] or ""), wanted="a leader")


def _address(manager: ManagerProgram) -> str:
    """Return the address by which `/scaler` names it."""
    return f"127.0.0.1:{manager.port}"
