"""Handles of jobs, jobs in the order in which they end, and `map`, against managers that answer as a test says."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.client import Client, ClientError, JobFailed, JobHandle, NotFound
from workmanager.http import handles
from workmanager.http.handles import as_completed


@contextlib.contextmanager
def _client(*answers: Answer) -> Iterator[Client]:
    with ScriptedManager(*answers) as manager, Client(manager.url) as client:
        yield client


FINISHED = {"id": "a", "status": "finished", "result": 7, "result_note": None, "error": None}
TIMED_OUT = {"reason": "timeout", "message": "killed", "traceback": "…"}


def test_a_result_is_waited_for() -> None:
    running = {**FINISHED, "status": "started", "result": None}
    waited = {"done": True, "statuses": {"a": "finished"}}
    with ScriptedManager(Answer(running), Answer(waited), Answer(FINISHED)) as manager, Client(manager.url) as client:
        assert client.handle("a").result() == 7
    assert [request.path for request in manager.requests] == ["/jobs/a", "/jobs/wait", "/jobs/a"]


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"status": "failed", "error": TIMED_OUT}, "job a failed: timeout: killed"),
        ({"status": "canceled", "error": None}, "job a canceled"),
        ({"status": "finished", "result_note": "a pickle"}, "cannot be read over HTTP: a pickle"),
    ],
)
def test_a_job_without_a_result_says_why(view: dict[str, Any], told: str) -> None:
    with _client(Answer({**FINISHED, **view})) as client, pytest.raises(JobFailed, match=told) as raised:
        client.handle("a").result()
    assert (raised.value.job_id, raised.value.status) == ("a", view["status"])
    assert raised.value.reason == (view.get("error") or {}).get("reason")


def test_a_result_that_does_not_come_in_time_is_a_timeout() -> None:
    running = {**FINISHED, "status": "started"}
    waited = {"done": False, "statuses": {"a": "started"}}
    with (
        _client(Answer(running), Answer(waited)) as client,
        pytest.raises(TimeoutError, match="job a is started after 0 s"),
    ):
        client.handle("a").result(timeout_seconds=0)


def test_the_result_of_a_job_that_does_not_exist_is_not_found() -> None:
    with _client(Answer({"detail": "no job"}, 404)) as client, pytest.raises(NotFound):
        client.handle("a").result()


class EndingJobs(Client):
    """A client whose jobs end one after the other, the last one first."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.asked: list[int] = []

    def wait_for_jobs(self, ids: Iterable[str], **_: Any) -> dict[str, str | None]:
        asked = list(ids)
        self.asked.append(len(asked))
        return {job_id: "finished" if job_id == asked[-1] else "queued" for job_id in asked}


def test_jobs_are_yielded_as_they_end_and_further_ids_are_asked_for_as_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "WINDOW_JOBS", 2)
    taken: list[str] = []

    def ids() -> Iterator[str]:
        for job_id in "abcd":
            taken.append(job_id)
            yield job_id

    jobs = EndingJobs()
    completed = jobs.as_completed(ids())
    first = next(completed)
    assert (first.id, taken) == ("b", ["a", "b"])
    assert [handle.id for handle in completed] == ["c", "d", "a"]
    assert jobs.asked == [2, 2, 2, 1]


def test_a_job_that_does_not_exist_counts_as_ended() -> None:
    with _client(Answer({"done": True, "statuses": {"a": None}})) as client:
        assert [handle.id for handle in client.as_completed(["a"])] == ["a"]


def test_jobs_that_do_not_end_in_time_are_a_timeout() -> None:
    with (
        ScriptedManager(Answer({"done": False, "statuses": {"a": "queued"}})) as manager,
        Client(manager.url) as client,
        pytest.raises(TimeoutError, match="1 job has not ended after 0 s"),
    ):
        next(as_completed(client, ["a"], 0))


def test_map_submits_a_job_for_each_item_and_yields_results_in_their_order() -> None:
    accepted = "\n".join(json.dumps({"id": job_id}) for job_id in "ab")
    answers = (Answer(accepted), Answer({**FINISHED, "result": 1}), Answer({**FINISHED, "result": 2}))
    with ScriptedManager(*answers) as manager, Client(manager.url) as client:
        assert list(client.map("numbers.double", [10, 20], queue="sums")) == [1, 2]
    lines = [json.loads(line) for line in manager.requests[0].body.splitlines()]
    assert [(line["function"], line["args"], line["queue"], line["feed"]) for line in lines] == [
        ("numbers.double", [10], "sums", False),
        ("numbers.double", [20], "sums", False),
    ]
    assert [request.path for request in manager.requests[1:]] == ["/jobs/a", "/jobs/b"]


def test_map_raises_what_refused_a_job() -> None:
    refused = json.dumps({"error": {"detail": "no such function", "status": 422}})
    with _client(Answer(refused)) as client, pytest.raises(ClientError, match="no such function"):
        list(client.map("numbers.double", [1]))


def test_a_handle_says_which_job_it_is() -> None:
    with Client("http://127.0.0.1:1") as client:
        assert repr(client.handle("a")) == "JobHandle('a')"
        assert isinstance(client.handle("a"), JobHandle)
