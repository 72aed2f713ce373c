"""Results over HTTP: each is handed out to one consumer."""

import socket
import threading
import time
from typing import Any

import httpx

from tests.acceptance.manager.conftest import Start, Worker
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer


def enqueue(http: httpx.Client, number: int, prefix: str = "job") -> list[str]:
    ids = [f"{prefix}-{place}" for place in range(number)]
    for name in ids:
        assert http.put("/enqueue", params={"iterations": 1, "id": name}, content=b"x").status_code == 200
    return ids


def pull(http: httpx.Client, **query: Any) -> list[str]:
    answer = http.post("/pullCompleted", params=query)
    assert answer.status_code == 200, answer.text
    return [entry["Work ID"] for entry in answer.json()]


def until_a_pull_waits(server: ValkeyServer) -> None:
    """Wait until a manager's blocking read for results has reached Redis."""
    until(lambda: server.command("INFO", "clients")["blocked_clients"], wanted="a waiting pull")


def test_each_result_is_handed_out_once_latest_first(http: httpx.Client, worker: Worker) -> None:
    ids = enqueue(http, 5)
    assert pull(http, top=10) == []
    worker.finish_all("value")
    answer = http.post("/pullCompleted?top=2").json()
    assert answer == [{"Work ID": ids[4], "Value": "value"}, {"Work ID": ids[3], "Value": "value"}]
    assert pull(http, top=1, order="oldest") == [ids[0]]
    assert pull(http, top=10_000) == [ids[2], ids[1]]
    assert pull(http, top=10_000) == []
    assert http.get(f"/jobs/{ids[0]}").json()["result"] == "value"


def test_a_pull_can_take_more_than_one_round(http: httpx.Client, worker: Worker) -> None:
    ids = enqueue(http, 450)
    worker.finish_all()
    assert pull(http, top=450, order="oldest") == ids


def test_a_large_answer_is_cut_without_losing_results(http: httpx.Client, worker: Worker) -> None:
    ids = enqueue(http, 90)
    worker.finish_all("x" * 1_000_000)
    first = pull(http, top=10_000)
    second = pull(http, top=10_000)
    assert len(first) < 90
    assert sorted(first + second) == sorted(ids)


def test_a_leased_result_is_handed_out_again_unless_acknowledged(http: httpx.Client, worker: Worker) -> None:
    ids = enqueue(http, 2)
    worker.finish_all()
    assert sorted(pull(http, top=10, lease=5)) == ids
    assert pull(http, top=10) == []
    assert http.post("/ackCompleted", json={"ids": [ids[0], ids[0], "nobody"]}).json() == {"acknowledged": 1}
    assert until(lambda: pull(http, top=10)) == [ids[1]]


def test_two_managers_hand_out_each_result_once(start: Start, redis_url: str, worker: Worker) -> None:
    managers = [start(redis_url) for _ in range(2)]
    for manager in managers:
        manager.wait_until_ready()
    with managers[0].client() as first:
        ids = enqueue(first, 300)
    worker.finish_all()
    handed_out: list[str] = []

    def consume(manager: ManagerProgram) -> None:
        with manager.client() as client:
            while part := pull(client, top=7):
                handed_out.extend(part)

    threads = [threading.Thread(target=consume, args=(manager,)) for manager in managers for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(handed_out) == sorted(ids)


def test_a_waiting_pull_is_answered_when_a_result_arrives(
    http: httpx.Client, worker: Worker, shared_server: ValkeyServer
) -> None:
    ids = enqueue(http, 1)
    answers: list[list[str]] = []
    waiting = threading.Thread(target=lambda: answers.append(pull(http, top=5, wait=55)))
    waiting.start()
    until_a_pull_waits(shared_server)
    worker.finish_all()
    # Much sooner than the timeout of the wait.
    waiting.join(20)
    assert answers == [ids]


def test_every_waiting_pull_gets_a_result(http: httpx.Client, manager: ManagerProgram, worker: Worker) -> None:
    ids = enqueue(http, 4)
    answers: list[list[str]] = []

    def wait() -> None:
        with manager.client() as client:
            answers.append(pull(client, top=1, wait=55))

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    worker.finish_all()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted([name] for name in ids)


def test_a_waiting_pull_ends_with_its_timeout(http: httpx.Client) -> None:
    began = time.monotonic()
    assert pull(http, top=5, wait=0.2) == []
    assert 0.2 <= time.monotonic() - began < 20


def test_a_client_that_disconnects_while_waiting_loses_no_result(
    http: httpx.Client, manager: ManagerProgram, worker: Worker, shared_server: ValkeyServer
) -> None:
    ids = enqueue(http, 1)
    with socket.create_connection(("127.0.0.1", manager.port)) as connection:
        connection.sendall(b"POST /pullCompleted?top=5&wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until_a_pull_waits(shared_server)
    until(lambda: "path=/pullCompleted status=499" in manager.log, wanted=manager.log)
    worker.finish_all()
    assert pull(http, top=5) == ids


def test_a_waiting_pull_is_answered_when_the_manager_stops(start: Start, private_server: ValkeyServer) -> None:
    manager = start(private_server.url).wait_until_ready()
    answers: list[list[str]] = []

    def wait() -> None:
        with manager.client() as client:
            answers.append(pull(client, top=5, wait=55))

    waiting = threading.Thread(target=wait)
    waiting.start()
    until_a_pull_waits(private_server)
    began = time.monotonic()
    assert manager.stop() == 0
    waiting.join()
    assert answers == [[]]
    # Much sooner than the timeout of the wait.
    assert time.monotonic() - began < 30
