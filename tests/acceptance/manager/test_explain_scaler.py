"""`GET /jobs/{id}/explain` while a scaler acts: what it launches, what limits it, and what holds it back."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.manager_program import ManagerProgram
from tests.ec2.faults import CapacityLimit
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

JOB = "waits"
BOOT_TIMEOUT_SECONDS = "3"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCloud]:
    """An EC2 whose instances never boot."""
    directory = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as patch, SimulatedCloud(directory, boots=False, address="127.0.0.1") as cloud:
        for name, value in cloud.environ.items():
            patch.setenv(name, value)
        yield cloud


@pytest.fixture(scope="module")
def http(cloud: SimulatedCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a manager that launches instances of that EC2; a job waits for them."""
    directory = tmp_path_factory.mktemp("manager")
    server = ValkeyServer(directory / "valkey", settings={"appendfsync": "no"})
    server.start()
    manager = ManagerProgram(
        *(directory / "managers", server.url, ("--scaler", "ec2")),
        module="tests.acceptance.ec2.fast_manager",
        LAUNCH_TEMPLATE=cloud.create_template(""),
        SUBNETS=next(iter(cloud.subnets().values())),
        INSTANCE_TYPES="c7g.large",
        MAX_WORKERS="6",
        PRICE_PER_HOUR="0.5",
        BOOT_TIMEOUT_SECONDS=BOOT_TIMEOUT_SECONDS,
    ).wait_until_ready()
    with manager.client() as client:
        client.post("/scaler/pause").raise_for_status()
        client.post("/jobs", json={"function": "noop", "id": JOB}).raise_for_status()
        yield client
    manager.kill()
    server.kill()
    assert "Traceback" not in manager.log


def explained(http: httpx.Client, *parts: str) -> dict[str, Any]:
    """Wait until the sentence has all these parts; return the answer."""
    answer: dict[str, Any] = {}

    def tells() -> bool:
        answer.update(http.get(f"/jobs/{JOB}/explain").raise_for_status().json())
        return all(part in answer["sentence"] for part in parts)

    until(tells, wanted=f"{parts} in {answer}")
    return answer


def limit(http: httpx.Client, **limits: float | None) -> None:
    http.put("/scaler/limits", json=limits).raise_for_status()


def test_each_thing_that_keeps_the_scaler_from_launching_is_told(http: httpx.Client, cloud: SimulatedCloud) -> None:
    answer = explained(http, "The scaler is paused")
    assert (answer["reason"], answer["scaler_paused"], answer["workers"]) == ("no_worker_yet", True, 0)
    assert answer["sentence"].startswith(
        "It is the next of the jobs in queue 'default', and no worker that serves the queue is running yet. The scaler"
        " is paused"
    )

    limit(http, budget_per_hour=0.3)
    http.post("/scaler/resume").raise_for_status()
    answer = explained(http, "The budget of 0.3 per hour allows 0 workers.")
    assert (answer["scaler_paused"], answer["instances"]) == (False, 0)
    assert (answer["max_workers"], answer["budget_per_hour"], answer["allowed_workers"]) == (6, 0.3, 0)

    limit(http, budget_per_hour=0.5)
    answer = explained(http, "1 instance is booting, the first one is ready in about ")
    assert (answer["booting"], answer["instances"], answer["launches_held_back"]) == (1, 1, None)
    assert 0 < answer["first_boot_seconds"] <= 9
    assert "the budget of 0.5 per hour allows 1 worker" in answer["sentence"]

    cloud.faults.capacity = [CapacityLimit()]
    limit(http, budget_per_hour=None, min_workers=6)
    answer = explained(http, "aunches are held back for ", "InsufficientInstanceCapacity")
    assert "InsufficientInstanceCapacity" in answer["launches_held_back"]
    assert answer["sentence"].count("InsufficientInstanceCapacity") == 1

    cloud.faults.capacity = []
    answer = explained(http, "consecutive boots never registered): one instance at a time is tried")
    assert "boots never registered" in answer["launches_held_back"]
    assert answer["sentence"].count("boots never registered") == 1
