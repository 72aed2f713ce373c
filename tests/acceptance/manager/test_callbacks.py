"""Callbacks: managers tell receivers of the ends of jobs, signed, until they are taken."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from tests.acceptance.manager.callback_receiver import OLD_SECRET, SECRET, Received, Receiver, Reply
from tests.acceptance.manager.conftest import Start, Worker
from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer


@pytest.fixture(scope="module")
def _manager(shared_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagerProgram]:
    program = ManagerProgram(
        tmp_path_factory.mktemp("manager"),
        shared_server.url,
        CALLBACK_ALLOW="127.0.0.1",
        CALLBACK_SECRETS=f"{SECRET},{OLD_SECRET}",
        CALLBACK_RETRY_INTERVALS="1,1",
    ).wait_until_ready()
    yield program
    program.kill()


@pytest.fixture
def http(_manager: ManagerProgram, redis_url: str) -> Iterator[httpx.Client]:
    """A client of a manager that sends callbacks to 127.0.0.1."""
    with _manager.client() as client:
        yield client
    assert "Traceback" not in _manager.log


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def submit(http: httpx.Client, **fields: Any) -> str:
    answer = http.post("/jobs", json={"function": "noop", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_end_of_a_job_is_told_and_a_receiver_can_verify_it(
    http: httpx.Client, worker: Worker, receiver: Receiver
) -> None:
    job_id = submit(http, callback_url=receiver.url)
    worker.finish_all(7)
    (received,) = receiver.wait()
    for secret in (SECRET, OLD_SECRET):
        assert received.verified(secret) == received.event
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == "workmanager-callbacks"
    assert abs(int(received.headers["webhook-timestamp"]) - time.time()) < 60
    job = http.get(f"/jobs/{job_id}").json()
    events = ["finished", "failed", "stopped", "canceled"]
    assert job["callback"] == {"host": receiver.host, "events": events, "last_id": received.id}
    assert received.event == {
        "type": "job.finished",
        "timestamp": job["ended_at"],
        "data": {
            "id": job_id,
            "function": "noop",
            "queue": "default",
            "status": "finished",
            "attempts": 1,
            "error": None,
        },
    }


def test_a_failure_is_told_with_its_reason_and_a_result_only_if_asked_for(
    http: httpx.Client, worker: Worker, receiver: Receiver
) -> None:
    failed = submit(http, callback={"url": receiver.url, "events": ["failed"]})
    worker.fail_all()
    submit(http, callback={"url": receiver.url, "events": ["failed"]})
    done = submit(http, callback={"url": receiver.url, "include": ["result"]})
    worker.finish_all({"é": [1.0, None]})
    one, other = sorted(receiver.wait(2), key=lambda received: str(received.event["type"]))
    assert (one.event["type"], one.event["data"]["id"]) == ("job.failed", failed)
    assert one.event["data"]["error"] == {"reason": "exception"}
    assert "result" not in one.event["data"]
    assert (other.event["data"]["id"], other.event["data"]["result"]) == (done, {"é": [1.0, None]})


def test_a_batch_and_a_cancellation_are_told_too(http: httpx.Client, receiver: Receiver) -> None:
    lines = [{"function": "noop", "id": f"job{n}", "callback_url": receiver.url} for n in range(3)]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    http.post("/jobs/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
    for n in range(3):
        assert http.post(f"/jobs/job{n}/cancel").is_success
    events = [received.event for received in receiver.wait(3)]
    assert sorted((event["data"]["id"], event["type"]) for event in events) == [
        (f"job{n}", "job.canceled") for n in range(3)
    ]


def test_a_job_of_put_enqueue_is_told_of_too(http: httpx.Client, worker: Worker, receiver: Receiver) -> None:
    query = {"iterations": 1, "callback_url": receiver.url + "?a=b&c=d"}
    work_id = http.put("/enqueue", params=query, content=b"x").json()["Work ID"]
    worker.finish_all()
    (received,) = receiver.wait()
    assert (received.path, received.event["data"]["id"]) == ("/in?a=b&c=d", work_id)
    for url, status in (("ftp://example.com", 400), ("http://10.0.0.1/", 422)):
        refused = http.put("/enqueue", params={**query, "callback_url": url}, content=b"x")
        assert (refused.status_code, "callback_url" in refused.json()["detail"]) == (status, True)


def test_a_refused_callback_is_repeated_with_the_same_id(http: httpx.Client, worker: Worker) -> None:
    replies = iter([Reply(500), Reply(302, {"Location": "/elsewhere"}), Reply(200)])
    with Receiver(lambda _: next(replies)) as receiver:
        submit(http, callback_url=receiver.url)
        worker.finish_all()
        attempts = receiver.wait(3)
        assert len({attempt.id for attempt in attempts}) == 1
        assert len({attempt.body for attempt in attempts}) == 1
        assert {attempt.path for attempt in attempts} == {"/in"}
        for attempt in attempts:
            attempt.verified()
        times = [int(attempt.headers["webhook-timestamp"]) for attempt in attempts]
        assert times == sorted(set(times))


def test_a_requeued_job_is_another_event(http: httpx.Client, worker: Worker, receiver: Receiver) -> None:
    job_id = submit(http, callback_url=receiver.url)
    worker.fail_all()
    receiver.wait()
    assert http.post(f"/jobs/{job_id}/requeue").is_success
    worker.finish_all()
    one, other = receiver.wait(2)
    assert (one.event["type"], other.event["type"]) == ("job.failed", "job.finished")
    assert one.id != other.id


def test_a_receiver_that_does_not_answer_delays_no_other(
    http: httpx.Client, worker: Worker, receiver: Receiver
) -> None:
    def hang(_: Received) -> Reply:
        time.sleep(20)
        return Reply()

    with Receiver(hang) as silent:
        for _ in range(20):
            submit(http, callback_url=silent.url)
        submit(http, callback_url=receiver.url)
        began = time.monotonic()
        worker.finish_all()
        receiver.wait()
        assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"callback_url": "http://127.0.0.2/"}, "callback_url"),
        ({"callback_url": "http://169.254.169.254/"}, "callback_url"),
        ({"callback_url": "ftp://example.com/"}, "callback_url"),
        ({"callback_url": "https://example.com/" + "x" * 2048}, "callback_url"),
        ({"callback": {"url": "http://[::1]/"}}, "callback.url"),
        ({"callback": {}}, "callback.url"),
        ({"callback": {"url": "https://example.com", "events": ["started"]}}, "callback.events.0"),
        ({"callback": {"url": "https://example.com", "events": []}}, "callback.events"),
        ({"callback": {"url": "https://example.com", "include": ["args"]}}, "callback.include.0"),
        ({"callback": {"url": "https://example.com", "secret": "x"}}, "callback.secret"),
        ({"callback_url": "https://example.com", "callback": {"url": "https://example.com"}}, ""),
    ],
)
def test_a_callback_that_cannot_be_is_refused_before_anything_is_written(
    http: httpx.Client, fields: dict[str, Any], field: str
) -> None:
    answer = http.post("/jobs", json={"function": "noop", "id": "a", **fields})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert http.get("/jobs/a").status_code == 404


def test_the_same_submission_is_repeated_and_another_callback_is_a_conflict(http: httpx.Client) -> None:
    job = {"function": "noop", "id": "a", "callback": {"url": "https://example.com/", "events": ["failed", "finished"]}}
    assert http.post("/jobs", json=job).status_code == 201
    again = {**job, "callback": {"url": "https://example.com/", "events": ["finished", "failed"], "include": []}}
    assert http.post("/jobs", json=again).status_code == 200
    for other in ({"url": "https://example.com/2"}, {"url": "https://example.com/", "events": ["failed"]}, None):
        assert http.post("/jobs", json={**job, "callback": other}).status_code == 409


def shown(http: httpx.Client, query: str = "") -> list[dict[str, Any]]:
    callbacks: list[dict[str, Any]] = http.get(f"/callbacks{query}").json()["callbacks"]
    return callbacks


def test_a_callback_is_shown_with_its_attempts_and_sent_again_on_request(http: httpx.Client, worker: Worker) -> None:
    with Receiver(lambda _: Reply(500, body=b"out of order " + b"x" * 2000)) as receiver:
        job_id = submit(http, callback_url=receiver.url + "?token=secret")
        worker.fail_all()
        receiver.wait(3)
        (dead,) = until(lambda: shown(http, "?status=dead"), wanted="a callback that was given up")
        assert (dead["job_id"], dead["event"], dead["host"], dead["tries"]) == (job_id, "failed", receiver.host, 3)
        details = http.get(f"/callbacks/{dead['id']}")
        assert "secret" not in details.text
        attempts = details.json()["attempts"]
        assert [(attempt["status"], attempt["error"]) for attempt in attempts] == [(500, None)] * 3
        assert attempts[0]["answer"] == ("out of order " + "x" * 2000)[:1024]
        receiver.answer = lambda _: Reply()
        assert http.post(f"/callbacks/{dead['id']}/retry").json()["tries"] == 0
        again = receiver.wait(4)[3]
        assert again.id == dead["id"]
        (delivered,) = until(lambda: shown(http, "?status=delivered"))
        assert (delivered["id"], delivered["tries"], delivered["last_attempt"]["status"]) == (dead["id"], 1, 204)
        assert delivered["next_attempt_at"] is None
        assert shown(http, "?status=dead") == []
    metrics = http.get("/metrics").text.splitlines()
    for outcome, number in (("delivered", 1), ("failed", 2), ("dead", 1)):
        assert f'workmanager_callback_attempts_total{{outcome="{outcome}"}} {number}.0' in metrics
    assert 'workmanager_callbacks{status="dead"} 0.0' in metrics


def test_a_receiver_that_cannot_be_reached_shows_why(http: httpx.Client, worker: Worker) -> None:
    receiver = Receiver()
    receiver.stop()
    submit(http, callback_url=receiver.url)
    worker.finish_all()
    (failing,) = until(lambda: shown(http, "?status=failing"))
    assert failing["last_attempt"]["status"] is None
    assert "ConnectError" in failing["last_attempt"]["error"]
    (dead,) = until(lambda: shown(http, f"?status=dead&host={receiver.host}"))
    assert shown(http, "?host=other.example.com:443") == []
    receiver.start()
    with receiver:
        assert http.post("/callbacks/replay", json={"since": "2999-01-01T00:00:00Z"}).json() == {"callbacks": 0}
        assert http.post("/callbacks/replay", json={"host": "other.example.com:443"}).json() == {"callbacks": 0}
        assert http.post("/callbacks/replay", json={"since": "2020-01-01T00:00:00Z"}).json() == {"callbacks": 1}
        assert receiver.wait()[0].id == dead["id"]


def test_pages_hold_every_callback_once(http: httpx.Client, worker: Worker, receiver: Receiver) -> None:
    ids = {submit(http, callback_url=receiver.url) for _ in range(25)}
    worker.finish_all()
    until(lambda: len(shown(http, "?status=delivered")) == 25)
    found, cursor = [], ""
    while cursor is not None:
        page = http.get(f"/callbacks?limit=7{cursor}").json()
        found += [callback["job_id"] for callback in page["callbacks"]]
        cursor = None if page["cursor"] is None else f"&cursor={page['cursor']}"
    assert len(found) == 25
    assert set(found) == ids
    times = [callback["event_at"] for callback in shown(http)]
    assert len(times) == 25
    assert http.get("/callbacks?cursor=garbage").status_code == 400


@pytest.mark.parametrize("callback_id", ["a", "a_1_finished", "a_1_deleted", "%00", "x" * 400])
def test_a_callback_that_is_not_there_is_not_found(http: httpx.Client, callback_id: str) -> None:
    assert http.get(f"/callbacks/{callback_id}").status_code == 404
    assert http.post(f"/callbacks/{callback_id}/retry").status_code == 404


def test_a_listener_fetches_its_callbacks_until_it_has_taken_them(http: httpx.Client, worker: Worker) -> None:
    job_id = submit(http, callback={"url": "listen:laptop", "include": ["result"]})
    submit(http, callback_url="listen:other")
    worker.finish_all(7)
    (heard,) = http.post("/callbacks/listen?name=laptop&wait=10").json()["callbacks"]
    event = Webhook(SECRET).verify(heard["body"], heard["headers"])
    assert (event["data"]["id"], event["data"]["result"]) == (job_id, 7)
    assert http.post("/callbacks/listen?name=laptop").json() == {"callbacks": []}
    receipts = {"receipts": [heard["receipt"], heard["receipt"], "a.b", "garbage"]}
    assert http.post("/callbacks/listen/ack", json=receipts).json() == {"acknowledged": 1}
    assert http.post("/callbacks/listen/ack", json=receipts).json() == {"acknowledged": 0}
    assert [callback["job_id"] for callback in shown(http, "?status=delivered")] == [job_id]


def test_a_listener_can_wait(http: httpx.Client, worker: Worker) -> None:
    submit(http, callback_url="listen:laptop")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(http.post, "/callbacks/listen?name=laptop&wait=30")
        worker.finish_all()
        assert len(answer.result().json()["callbacks"]) == 1


def test_a_key_that_is_bound_to_queues_sees_and_repeats_only_their_callbacks(
    start: Start, redis_url: str, worker: Worker
) -> None:
    manager = start(
        redis_url, API_KEYS=OPERATOR, CALLBACK_SECRETS=SECRET, CALLBACK_ALLOW="127.0.0.1", CALLBACK_RETRY_INTERVALS="1"
    ).wait_until_ready()
    own, foreign = (create(manager, "jobs:write", "jobs:read", queues=[name])["key"] for name in ("default", "other"))
    with Receiver(lambda _: Reply(410)) as receiver, as_(manager, own) as one, as_(manager, foreign) as other:
        submit(one, callback_url=receiver.url)
        worker.finish_all()
        (dead,) = until(lambda: shown(one, "?status=dead"))
        assert shown(other) == []
        assert other.get(f"/callbacks/{dead['id']}").status_code == 404
        assert other.post(f"/callbacks/{dead['id']}/retry").status_code == 404
        assert other.post("/callbacks/replay", json={}).json() == {"callbacks": 0}
        assert other.post("/callbacks/listen?name=a").status_code == 403
        assert one.post("/callbacks/replay", json={}).json() == {"callbacks": 1}
        receiver.wait(2)


def test_managers_that_ask_for_keys_send_nothing_unsigned(operator: httpx.Client) -> None:
    refused = operator.post("/jobs", json={"function": "noop", "callback_url": "https://example.com"})
    assert refused.status_code == 422
    assert "WORKMANAGER_CALLBACK_SECRETS" in refused.json()["detail"]
