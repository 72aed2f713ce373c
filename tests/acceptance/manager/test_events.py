"""`GET /events`: the changes of all jobs, filtered, resumed on any manager."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.event_streams import Event, events
from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create
from tests.acceptance.manager.manager_program import ManagerProgram

PAGE = Path(__file__).parents[3] / "docs/watching.md"


def submit(http: httpx.Client, job_id: str, **fields: Any) -> None:
    http.post("/jobs", json={"function": "noop", "id": job_id, **fields}).raise_for_status()


@contextmanager
def opened(http: httpx.Client, query: str, last_id: str = "") -> Iterator[Iterator[Event]]:
    """Open a stream that ends after a while, so that a test fails that waits for what never comes."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    with http.stream("GET", "/events?" + "&".join(filter(None, ("wait=20", query))), headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response)


def statuses(stream: Iterator[Event], count: int) -> list[str]:
    """Return the next changes as `id:status`; other events by their name."""
    told = (next(stream) for _ in range(count))
    return [f"{data['id']}:{data['status']}" if name == "status" else name for name, _, data in told]


def test_every_change_is_told_behind_a_snapshot(operator: httpx.Client, redis_of_managers: str) -> None:
    submit(operator, "e-1", queue="told")
    with opened(operator, "queue=told") as stream:
        name, _, snapshot = next(stream)
        assert (name, snapshot) == ("snapshot", {"queues": {"told": {"queued": 1}}, "shards_missing": 0})
        submit(operator, "e-2", queue="told", labels={"order": "42"})
        # That of e-1 can come late.
        name, event_id, change = next(each for each in stream if each[2]["id"] == "e-2")
        assert change.pop("at").endswith("Z")
        assert (name, change) == (
            "status",
            {"id": "e-2", "status": "queued", "queue": "told", "labels": {"order": "42"}},
        )
        assert event_id
        Worker(redis_of_managers, "told").finish_all()
        operator.delete("/jobs/e-2")
        expected = ["e-1:started", "e-2:started", "e-1:finished", "e-2:finished", "e-2:deleted"]
        assert statuses(stream, 5) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("queue=b1", "in-queue1:queued with-both1:queued"),
        ("label=order:x2", "with-label2:queued with-both2:queued"),
        ("status=canceled&queue=a3", "plain3:canceled"),
        ("label=order:x4&queue=b4", "with-both4:queued"),
    ],
)
def test_filters_choose_the_changes(operator: httpx.Client, query: str, expected: str) -> None:
    number = re.findall(r"\d", query)[0]  # What the others have changed can come late.
    with opened(operator, query) as stream:
        assert next(stream)[0] == "snapshot"
        submit(operator, f"plain{number}", queue=f"a{number}", labels={"order": "other"})
        operator.post(f"/jobs/plain{number}/cancel")
        submit(operator, f"in-queue{number}", queue=f"b{number}")
        submit(operator, f"with-label{number}", queue=f"a{number}", labels={"order": f"x{number}"})
        submit(operator, f"with-both{number}", queue=f"b{number}", labels={"order": f"x{number}"})
        assert " ".join(statuses(stream, len(expected.split()))) == expected


def test_a_stream_goes_on_at_another_manager(managers: tuple[ManagerProgram, ManagerProgram]) -> None:
    with as_(managers[0], OPERATOR) as one, as_(managers[1], OPERATOR) as other:
        with opened(one, "queue=resumed") as stream:
            next(stream)
            submit(one, "r-1", queue="resumed")
            _, last_id, _ = next(stream)
        submit(one, "r-2", queue="resumed")
        submit(other, "elsewhere", queue="not-resumed")
        with opened(other, "queue=resumed", last_id) as stream:
            assert statuses(stream, 1) == ["r-2:queued"]
            submit(one, "r-3", queue="resumed")
            name, last_id, change = next(stream)
            assert (name, change["id"]) == ("status", "r-3")
        # Nothing is missing, so nothing comes.
        with other.stream("GET", "/events?queue=resumed&wait=0", headers={"Last-Event-ID": last_id}) as response:
            assert list(events(response)) == []


@pytest.mark.parametrize("last_id", ["1-1", "99999999999999-0", "of another system"])
def test_a_gap_is_told_and_followed_by_a_snapshot(operator: httpx.Client, last_id: str) -> None:
    with opened(operator, "queue=gap", last_id) as stream:
        assert [name for name, _, _ in (next(stream), next(stream))] == ["gap", "snapshot"]


def test_a_bound_key_is_told_of_its_queues_alone(managers: tuple[ManagerProgram, ManagerProgram]) -> None:
    bound = as_(managers[0], create(managers[0], "jobs:read", queues=["seen-*"])["key"])
    with as_(managers[1], OPERATOR) as operator, bound, opened(bound, "") as stream:
        _, _, snapshot = next(stream)
        assert all(queue.startswith("seen-") for queue in snapshot["queues"])
        submit(operator, "unseen-job", queue="unseen")
        submit(operator, "seen-job", queue="seen-1")
        assert statuses(stream, 1) == ["seen-job:queued"]


def test_the_example_of_the_page_shows_a_job_that_finishes(manager: ManagerProgram, worker: Worker) -> None:
    section = PAGE.read_text().partition("\n## Events\n")[2]
    example = section.partition("```python\n")[2].partition("```")[0]
    for port in ("5000", "5001"):
        example = example.replace(f"http://127.0.0.1:{port}", manager.url)
    printed: list[tuple[object, ...]] = []
    reader = threading.Thread(target=exec, args=(example, {"print": lambda *words: printed.append(words)}))
    reader.start()
    with manager.client() as http:
        # Until the example has opened its stream, nobody sees them.
        for number in count():
            submit(http, f"shown-{number}")
            worker.finish_all()
            reader.join(0.1)
            if not reader.is_alive():
                break
    ((job_id, status),) = printed
    assert (str(job_id).startswith("shown-"), status) == (True, "finished")


@pytest.mark.parametrize("query", ["queue=", "status=unknown", "label=order", "wait=901", "page=1"])
def test_a_wrong_filter_is_refused(operator: httpx.Client, query: str) -> None:
    assert operator.get(f"/events?{query}").status_code == 400
