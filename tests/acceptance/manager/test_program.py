"""The manager's process: start, usage errors, outages of Redis, shutdown."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence

import httpx

from tests.acceptance.manager.conftest import Start, Worker
from tests.acceptance.manager.manager_program import environment
from tests.durability import until_aof_written
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "manager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=environment(**settings), check=False)


def test_a_usage_error_is_one_line() -> None:
    # tests/unit/manager/test_usage_errors.py has all of them.
    ended = run("--host", "0.0.0.0")
    assert ended.returncode == 2
    assert "WORKMANAGER_API_KEYS" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_is_one_line(start: Start, redis_url: str) -> None:
    manager = start(redis_url)
    ended = run("--port", str(manager.port), "--redis-url", redis_url)
    assert ended.returncode == 1
    told = "the port is in use; choose another with --port"
    assert ended.stderr == f"cannot listen on 127.0.0.1:{manager.port}: {told}\n"


def test_a_newer_record_format_ends_the_program(private_server: ValkeyServer) -> None:
    private_server.command("SET", "workmanager:layout", '{"format": 99, "shards": ["rq"]}')
    ended = run("--port", "0", "--redis-url", private_server.url)
    assert ended.returncode == 1
    assert "format 99" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr


def test_it_starts_without_redis_and_works_as_soon_as_redis_does(start: Start, private_server: ValkeyServer) -> None:
    private_server.stop()
    manager = start(private_server.url)
    with manager.client() as client:
        assert client.get("/healthz").status_code == 200
        for method, path in (
            ("GET", "/readyz"),
            ("PUT", "/enqueue?iterations=1"),
            ("POST", "/pullCompleted?top=1"),
            ("GET", "/jobs/a"),
            ("GET", "/status"),
            ("DELETE", "/jobs/a"),
        ):
            answer = client.request(method, path)
            assert answer.status_code == 503, path
            assert answer.headers["Retry-After"] == "1"
            assert answer.json()["type"].endswith(":unavailable")
        assert "workmanager_redis_up 0.0" in client.get("/metrics").text
        private_server.start()
        manager.wait_until_ready()
        assert client.put("/enqueue?iterations=1").status_code == 200
    assert manager.log.count("event=redis_unavailable") == 1


def test_a_password_that_no_longer_holds_is_told_by_its_readiness(start: Start, private_server: ValkeyServer) -> None:
    private_server.command("ACL", "SETUSER", "m", "on", ">before", "~*", "&*", "+@all")
    manager = start(private_server.url.replace("//", "//m:before@")).wait_until_ready()
    private_server.command("ACL", "SETUSER", "m", "resetpass", ">after")
    private_server.command("CLIENT", "KILL", "USER", "m")
    with manager.client() as client:
        told = f"accepts writes; Redis at 127.0.0.1:{private_server.port}: invalid username-password pair"
        until(lambda: told in client.get("/readyz").text, wanted=told)
        private_server.command("ACL", "SETUSER", "m", ">before")
        manager.wait_until_ready()


def test_it_survives_an_outage_of_redis(start: Start, private_server: ValkeyServer) -> None:
    manager = start(private_server.url).wait_until_ready()
    with manager.client() as client:
        assert client.put("/enqueue?iterations=1&id=before", content=b"x").status_code == 200
        until_aof_written(private_server)
        private_server.kill()
        answer = client.put("/enqueue?iterations=1", content=b"x")
        assert answer.status_code == 503
        assert len(answer.json()["Work ID"]) == 32
        assert client.put("/enqueue?iterations=1&id=mine", content=b"x").json()["Work ID"] == "mine"
        assert client.get("/readyz").status_code == 503
        assert client.post("/pullCompleted?top=1").status_code == 503
        assert client.post("/pullCompleted?top=1&wait=1").status_code == 503
        assert client.get("/metrics").status_code == 200
        private_server.start()
        manager.wait_until_ready()
        until(lambda: client.put("/enqueue?iterations=1&id=mine", content=b"x").status_code == 200)
        assert client.get("/jobs/before").json()["status"] == "queued"
        assert client.get("/status").json()["Jobs"] == 2


def test_an_unknown_outcome_is_reported_as_such(start: Start, private_server: ValkeyServer) -> None:
    manager = start(private_server.url).wait_until_ready()
    with manager.client() as client:
        client.put("/enqueue?iterations=1", content=b"x")
        private_server.pause()
        answer = client.put("/enqueue?iterations=1&id=mine", content=b"x")
        private_server.resume()
        assert answer.status_code == 503
        assert answer.json()["Work ID"] == "mine"
        until(lambda: client.put("/enqueue?iterations=1&id=mine", content=b"x").status_code == 200)
        assert client.get("/status").json()["Jobs"] == 2


def test_jobs_go_on_while_a_master_is_down(start: Start, cluster: ValkeyCluster) -> None:
    manager = start(cluster.url).wait_until_ready()
    with manager.client() as client:
        assert client.get("/status").json()["shards"] == {"total": 6, "unavailable": 0}
        cluster.masters()[0].kill()
        # One that is written before the end of the connection is known has an unknown outcome, and is a 503.
        client.put("/enqueue?iterations=1", content=b"x")
        answers = [client.put("/enqueue?iterations=1", content=b"x") for _ in range(60)]
        # Jobs for the shards of the lost master went to others.
        assert [answer.status_code for answer in answers] == [200] * 60
        assert client.get("/readyz").status_code == 200
        assert client.post("/pullCompleted?top=5").status_code == 200
        lines = client.post(
            "/jobs/batch", content=b'{"function":"noop"}\n' * 300, headers={"Content-Type": "application/x-ndjson"}
        ).text.splitlines()
        assert sum("id" in json.loads(line) for line in lines) == 300
        accepted = {answer.json()["Work ID"] for answer in answers}
        accepted |= {json.loads(line)["id"] for line in lines}
        until(lambda: client.get("/status").json()["shards"]["unavailable"] == 0, wanted="the failover")
        listed = {job["id"] for job in client.get("/jobs?limit=1000&status=queued").json()["jobs"]}
        assert accepted <= listed


def test_the_program_ends_with_its_parent(redis_url: str) -> None:
    read_end, write_end = os.pipe()
    command = [sys.executable, "-m", "manager", "--port", "0", "--redis-url", redis_url, "--parent-fd", str(read_end)]
    process = subprocess.Popen(command, pass_fds=[read_end], stderr=subprocess.PIPE, text=True, env=environment())
    os.close(read_end)
    try:
        assert process.stderr is not None
        assert "event=manager_listening" in process.stderr.readline()
        os.close(write_end)
        assert process.wait(60) == 0
        assert "reason=parent_gone" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_it_shuts_down_in_order(start: Start, redis_url: str) -> None:
    manager = start(redis_url).wait_until_ready()
    with manager.client() as client:
        client.put("/enqueue?iterations=1", content=b"x")
        assert manager.stop() == 0
    assert "event=manager_stopped exit_code=0" in manager.log
    assert "event=request_completed method=PUT path=/enqueue status=200" in manager.log


def test_the_access_log_can_be_switched_off(start: Start, redis_url: str) -> None:
    manager = start(redis_url, ACCESS_LOG="false").wait_until_ready()
    # All lines are in the log at the latest when the program has ended.
    assert manager.stop() == 0
    assert "event=request_completed" not in manager.log


def test_a_cluster_is_one_queue(start: Start, cluster: ValkeyCluster) -> None:
    managers = [start(cluster.url).wait_until_ready() for _ in range(2)]
    with managers[0].client() as first, managers[1].client() as second:
        lines = b"".join(b'{"function":"noop","id":"job-%03d"}\n' % number for number in range(300))
        headers = {"Content-Type": "application/x-ndjson"}
        answer = first.post("/jobs/batch", content=lines, headers=headers)
        answers = [json.loads(line)["id"] for line in answer.text.splitlines()]
        assert answers == [f"job-{number:03d}" for number in range(300)]
        unique = {"function": "noop", "unique": {"key": "one of all", "within": 60}, "delay": 60}
        first_id = first.post("/jobs", json=unique).json()["id"]
        for client in (first, second):
            rejected = client.post("/jobs", json=unique)
            assert (rejected.status_code, rejected.json()["id"]) == (409, first_id)
        assert second.get("/status").json()["Jobs"] == 301
        assert Worker(cluster.url).finish_all() == 300
        pulled = _pull([second], 250)
        leased = _pull([first, second], 50, lease="600")
        assert sorted(pulled + leased) == answers
        assert first.post("/pullCompleted?top=250").json() == []
        assert second.post("/ackCompleted", json={"ids": leased}).json() == {"acknowledged": 50}
        listed: list[str] = []
        query = {"status": "finished", "limit": "70"}
        while True:
            page = second.get("/jobs", params=query).json()
            listed += [job["id"] for job in page["jobs"]]
            if page["cursor"] is None:
                break
            query["cursor"] = page["cursor"]
        assert sorted(listed) == answers


def _pull(clients: Sequence[httpx.Client], count: int, **query: str) -> list[str]:
    """Return the ids of `count` results. Late results of a slow shard are kept by its manager for the next pull."""
    pulled: list[str] = []
    in_turn = itertools.cycle(clients)

    def all_there() -> bool:
        answer = next(in_turn).post("/pullCompleted", params={"top": count - len(pulled), **query})
        pulled.extend(entry["Work ID"] for entry in answer.json())
        return len(pulled) == count

    until(all_there, wanted=f"{count} results")
    return pulled
