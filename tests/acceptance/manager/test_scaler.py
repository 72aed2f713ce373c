"""`/scaler` of a running manager with local workers: the whole life of one, and what operators can tell it."""

import time
from typing import Any

import httpx
import pytest

from scaler.leadership import LEASE_SECONDS
from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.programs import ManagerProgram
from tests.waiting import until


@pytest.fixture
def scaling(start: Start, redis_url: str) -> ManagerProgram:
    settings = {"MAX_WORKERS": "2", "WORKER_SLOTS": "1", "PRICE_PER_HOUR": "0.5"}
    return start(redis_url, "--scaler", "local", **settings).wait_until_ready()


def _scaler(url: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/scaler")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_shows_the_life_of_a_worker(scaling: ManagerProgram) -> None:
    url = scaling.url
    leader = f"127.0.0.1:{scaling.port}"
    until(lambda: _scaler(url)["leader"] == leader, 10.0)
    assert _scaler(url)["limits"] == {"min_workers": 0, "max_workers": 2, "budget_per_hour": None}
    job = httpx.post(f"{url}/jobs", json={"function": "sleep", "kwargs": {"seconds": 2}}).json()
    states: list[str] = []

    def has_run() -> bool:
        for instance in _scaler(url)["instances"]:
            if [instance["state"]] != states[-1:]:
                states.append(instance["state"])
        return httpx.get(f"{url}/jobs/{job['id']}").json()["status"] == "finished"

    until(has_run, 30.0)
    until(lambda: not _scaler(url)["instances"], 40.0, wanted="the end of the worker")
    assert states[0] == "booting"
    assert "busy" in states
    seen = _scaler(url)
    verbs = [decision["reason"].split()[0] for decision in seen["decisions"]]
    assert "LAUNCH" in verbs
    assert "DRAIN" in verbs
    assert seen["observation"]["numbers"]["max"] == 2
    metrics = httpx.get(f"{url}/metrics").text
    assert "workmanager_scaler_leading 1.0" in metrics
    assert 'workmanager_scaler_ended_total{reason="idle"} 1.0' in metrics
    assert "workmanager_scaler_boot_seconds_count 1.0" in metrics


def test_operators_pause_and_limit_it(scaling: ManagerProgram) -> None:
    url = scaling.url
    assert httpx.post(f"{url}/scaler/pause").json()["paused"] is True
    httpx.post(f"{url}/jobs", json={"function": "noop"})
    until(lambda: "PAUSED" in ((_scaler(url)["observation"] or {}).get("reason", "")), 10.0)
    assert _scaler(url)["instances"] == []
    told = httpx.put(f"{url}/scaler/limits", json={"max_workers": 1, "budget_per_hour": 2.5}).json()
    assert told == {"paused": True, "limits": {"min_workers": 0, "max_workers": 1, "budget_per_hour": 2.5}}
    told = httpx.put(f"{url}/scaler/limits", json={"max_workers": None}).json()
    assert told["limits"] == {"min_workers": 0, "max_workers": 2, "budget_per_hour": 2.5}
    assert httpx.post(f"{url}/scaler/resume").json()["paused"] is False
    until(lambda: _scaler(url)["instances"], 10.0)


@pytest.mark.parametrize(
    "body", ['{"max_workers": -1}', '{"max": 1}', '{"max_workers": "2"}', '{"budget_per_hour": "x"}']
)
def test_wrong_limits_change_nothing(manager: ManagerProgram, body: str) -> None:
    answer = httpx.put(f"{manager.url}/scaler/limits", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert _scaler(manager.url)["limits"]["min_workers"] == 0


def test_a_budget_is_refused_where_nobody_has_said_what_an_instance_costs(manager: ManagerProgram) -> None:
    answer = httpx.put(f"{manager.url}/scaler/limits", json={"max_workers": 7, "budget_per_hour": 2.5})
    assert answer.status_code == 409
    assert "WORKMANAGER_PRICE_PER_HOUR" in answer.json()["detail"]
    assert _scaler(manager.url)["limits"]["max_workers"] != 7


def test_without_a_scaler_nobody_leads(manager: ManagerProgram) -> None:
    seen = _scaler(manager.url)
    assert (seen["leader"], seen["observation"], seen["instances"], seen["decisions"]) == (None, None, [], [])


def test_another_manager_takes_over_at_once_from_one_that_stops_and_soon_from_one_that_died(
    start: Start, redis_url: str
) -> None:
    managers = [start(redis_url, "--scaler", "local", MAX_WORKERS="1").wait_until_ready() for _ in range(3)]
    first = _leader(managers, 10.0)
    begun = time.monotonic()
    first.stop()
    managers.remove(first)
    second = _leader(managers, 5.0)
    # Longer than this it would take if its lease had to run out.
    assert time.monotonic() - begun < LEASE_SECONDS, "at once"
    second.kill()
    managers.remove(second)
    _leader(managers, 10.0)


def _leader(managers: list[ManagerProgram], seconds: float) -> ManagerProgram:
    """The one of these that acts; at the latest after so many seconds."""
    by_address = {f"127.0.0.1:{manager.port}": manager for manager in managers}
    return until(lambda: by_address.get(_scaler(managers[0].url)["leader"] or ""), seconds, wanted="a leader")
