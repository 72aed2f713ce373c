"""The asyncio client: made of the other one, and the same against managers that refuse, fail or do not answer."""

import asyncio
import inspect
import json
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

import pytest

from tests.unit.workmanager.scripted_manager import LOST, Answer, ScriptedManager
from workmanager.aio import AsyncClient, AsyncJobHandle
from workmanager.client import Client, Completed, JobHandle, NotFound, Unavailable
from workmanager.local import ports

ROOT = Path(__file__).parents[3]
UNAVAILABLE = Answer({"detail": "Redis is unavailable"}, 503, {"Retry-After": "0"})


def test_it_is_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "scripts/generate_async_client.py", tmp_path], cwd=ROOT, check=True)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.py")}
    kept = {path.name: path.read_text() for path in (ROOT / "workmanager/aio").glob("*.py")}
    assert made == kept, "run ./scripts/dev.sh async"


def _signatures(kind: type) -> dict[str, list[str]]:
    """Return the names of the parameters of each public method."""
    methods = {name: method for name, method in inspect.getmembers(kind, callable) if not name.startswith("_")}
    return {name: list(inspect.signature(method).parameters) for name, method in methods.items()}


def test_it_has_the_same_methods() -> None:
    assert _signatures(AsyncClient) == _signatures(Client)
    assert _signatures(AsyncJobHandle) == _signatures(JobHandle)
    assert AsyncClient("http://127.0.0.1:1").__dict__.keys() == Client("http://127.0.0.1:1").__dict__.keys()
    parts = [name for name, part in vars(Client).items() if isinstance(part, cached_property)]
    assert parts == ["callbacks", "operations", "schedules", "system"]
    here, there = Client("http://127.0.0.1:1"), AsyncClient("http://127.0.0.1:1")
    for name in parts:
        assert _signatures(type(getattr(there, name))) == _signatures(type(getattr(here, name)))


@pytest.mark.parametrize("failure", [UNAVAILABLE, LOST])
async def test_a_job_is_submitted_to_the_next_manager_with_the_same_id(failure: Answer) -> None:
    with ScriptedManager(failure) as first, ScriptedManager(Answer({"id": "a"}, 201)) as second:
        async with AsyncClient([first.url, second.url], "secret") as client:
            assert await client.submit("noop", data=b"x") == "a"
    bodies = [json.loads(manager.requests[0].body) for manager in (first, second)]
    assert bodies[0] == bodies[1]
    assert second.requests[0].headers["Authorization"] == "Bearer secret"


async def test_errors_are_those_of_the_other_client() -> None:
    async with AsyncClient(f"http://127.0.0.1:{ports.free_port()}", retry_seconds=0) as client:
        with pytest.raises(Unavailable):
            await client.status()
    with ScriptedManager(Answer({"detail": "no job"}, 404)) as manager:
        async with AsyncClient(manager.url) as client:
            with pytest.raises(NotFound, match="no job"):
                await client.handle("a").result()


async def test_results_are_pulled() -> None:
    with ScriptedManager(Answer([{"Work ID": "a", "Value": 1}])) as manager:
        async with AsyncClient(manager.url) as client:
            assert await client.pull(top=5) == [Completed("a", 1)]


async def test_lists_are_async_iterators_that_follow_the_cursor() -> None:
    pages = [Answer({"jobs": [{"id": "a"}], "cursor": "next"}), Answer({"jobs": [{"id": "b"}], "cursor": None})]
    with ScriptedManager(*pages) as manager:
        async with AsyncClient(manager.url) as client:
            assert [job["id"] async for job in client.jobs(status="failed")] == ["a", "b"]
    assert manager.requests[1].params["cursor"] == "next"


async def test_jobs_are_yielded_as_they_end() -> None:
    waits = [
        Answer({"done": True, "statuses": {"a": "queued", "b": "finished"}}),
        Answer({"statuses": {"a": "failed"}, "done": 1}),
    ]
    with ScriptedManager(*waits) as manager:
        async with AsyncClient(manager.url) as client:
            assert [handle.id async for handle in client.as_completed(["a", "b"])] == ["b", "a"]


async def test_map_yields_results_in_the_order_of_the_items() -> None:
    view = {"id": "a", "status": "finished", "result_note": None, "error": None}
    answers = (Answer('{"id": "a"}\n{"id": "b"}'), Answer({**view, "result": 1}), Answer({**view, "result": 2}))
    with ScriptedManager(*answers) as manager:
        async with AsyncClient(manager.url) as client:
            assert [result async for result in client.map("double", [10, 20])] == [1, 2]


async def test_the_events_of_a_job_are_an_async_iterator() -> None:
    stream = 'event: status\ndata: "started"\n\nevent: end\ndata: "finished"\n\n'
    with ScriptedManager(Answer(stream)) as manager:
        async with AsyncClient(manager.url) as client:
            assert [event["data"] async for event in client.events("a")] == ["started", "finished"]


async def test_many_requests_wait_at_a_time_and_one_that_is_canceled_ends_at_once() -> None:
    view = {"id": "a", "status": "finished"}
    with ScriptedManager(Answer(view, late_seconds=0.5)) as manager:
        async with AsyncClient(manager.url) as client:
            began = time.monotonic()
            assert await asyncio.gather(*(client.job("a", wait_seconds=5) for _ in range(20))) == [view] * 20
            assert time.monotonic() - began < 5  # one after the other: 10 s
    with ScriptedManager(Answer(view, late_seconds=60)) as manager:
        async with AsyncClient(manager.url) as client:
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.job("a", wait_seconds=55), 0.1)
            assert time.monotonic() - began < 20
