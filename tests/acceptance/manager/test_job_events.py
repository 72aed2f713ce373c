"""The life of a job as server-sent events."""

import json
import threading

import httpx
import pytest

from jobqueue import keys
from tests.acceptance.manager.conftest import Start, Worker
from tests.acceptance.manager.event_streams import events
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer


def log_line(server: ValkeyServer, job_id: str, text: str) -> str:
    """Write a line to a job's log, as workers do; return its id."""
    return str(server.command("XADD", keys.log("rq", job_id), "*", "at", 1000, "attempt", 1, "text", text))


def test_a_job_is_followed_to_its_end(http: httpx.Client, worker: Worker, shared_server: ValkeyServer) -> None:
    http.post("/jobs", json={"function": "noop", "id": "j"})
    with http.stream("GET", "/jobs/j/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        stream = events(response)
        assert next(stream) == ("status", "", {"id": "j", "status": "queued"})
        worker.claim()
        assert next(stream) == ("status", "", {"id": "j", "status": "started"})
        told = {"done": 1, "total": 2, "text": "t", "at": 3.0}
        worker.tell(json.dumps(told))
        assert next(stream) == ("progress", "", told)
        worker.tell("", "one")
        name, first, line = next(stream)
        assert (name, first, line["text"], line["attempt"]) == ("log", line["id"], "one", 1)
    second = log_line(shared_server, "j", "two")
    shared_server.command("HSET", keys.job("rq", "j"), "status", "finished")
    with http.stream("GET", "/jobs/j/events", headers={"Last-Event-ID": first}) as response:
        resumed = list(events(response))
    assert [(name, line_id) for name, line_id, _ in resumed] == [
        ("status", ""),
        ("progress", ""),
        ("log", second),
        ("end", ""),
    ]
    lines = http.get("/jobs/j/logs").json()
    assert [line["text"] for line in lines["lines"]] == ["one", "two"]
    assert http.get("/jobs/j/logs", params={"after": first}).json()["lines"][0]["text"] == "two"
    assert (lines["after"], lines["ended"]) == (second, True)


def test_a_job_that_is_deleted_ends_its_streams(http: httpx.Client) -> None:
    http.post("/jobs", json={"function": "noop", "id": "j"})
    with http.stream("GET", "/jobs/j/events") as response:
        stream = events(response)
        next(stream)
        http.delete("/jobs/j")
        assert next(stream) == ("end", "", {"id": "j", "status": "deleted"})
    assert http.get("/jobs/j/events").status_code == 404


def test_a_manager_that_stops_ends_its_streams_at_once(start: Start, redis_url: str) -> None:
    manager = start(redis_url).wait_until_ready()
    with manager.client() as http:
        http.post("/jobs", json={"function": "noop", "id": "j"})
        with http.stream("GET", "/jobs/j/events") as of_a_job, http.stream("GET", "/events") as of_all:
            streams = [events(of_a_job), events(of_all)]
            assert [next(stream)[0] for stream in streams] == ["status", "snapshot"]
            stopping = threading.Thread(target=manager.stop)
            stopping.start()
            assert [list(stream) for stream in streams] == [[], []]
            stopping.join(10)
            assert not stopping.is_alive()


def test_what_other_programs_write_into_a_record_is_told_too(http: httpx.Client, shared_server: ValkeyServer) -> None:
    """Plain RQ workers write no changes."""
    http.post("/jobs", json={"function": "noop", "id": "j"})
    with http.stream("GET", "/jobs/j/events") as response:
        stream = events(response)
        next(stream)
        shared_server.command("HSET", keys.job("rq", "j"), "status", "finished")
        assert [name for name, _, _ in stream] == ["status", "end"]


def test_a_job_of_another_program_is_followed_whose_id_is_longer_than_ours(
    http: httpx.Client, shared_server: ValkeyServer
) -> None:
    job_id = "j" * 200
    shared_server.command("HSET", keys.job("rq", job_id), "status", "finished", "origin", "default")
    with http.stream("GET", f"/jobs/{job_id}/events") as response:
        assert [name for name, _, _ in events(response)] == ["status", "end"]


@pytest.mark.parametrize("path", ["events", "logs"])
def test_a_key_follows_only_jobs_that_it_sees(managers: tuple[ManagerProgram, ManagerProgram], path: str) -> None:
    bound = as_(managers[0], create(managers[0], "jobs:write", "jobs:read", queues=["mine-*"])["key"])
    other = as_(managers[0], create(managers[0], "jobs:write", "jobs:read", queues=["other-*"])["key"])
    with bound, other:
        bound.post("/jobs", json={"function": "noop", "id": f"of-{path}", "queue": "mine-1"})
        assert bound.get(f"/jobs/of-{path}/{path}", params={"wait": 0} if path == "events" else {}).status_code == 200
        assert other.get(f"/jobs/of-{path}/{path}").status_code == 404
