"""Jobs over HTTP, from submission to end."""

import contextlib
import json
import socket
import threading
import time
from typing import Any

import httpx
import pytest

from tests.acceptance.manager.conftest import Start, Worker, calls
from tests.acceptance.manager.manager_program import ANSWER_SECONDS
from tests.waiting import until
from workmanager.client import Client
from workmanager.local.valkey import ValkeyServer


def submit(http: httpx.Client, **fields: Any) -> httpx.Response:
    return http.post("/jobs", json={"function": "noop", **fields})


def test_enqueue_accepts_a_raw_body_and_a_form(http: httpx.Client) -> None:
    raw = http.put("/enqueue", params={"iterations": 3, "id": "one"}, content=b"\x00\xff data")
    form = http.put("/enqueue", params={"iterations": 3, "id": "one"}, files={"data": b"\x00\xff data"})
    assert (raw.status_code, raw.json()["Work ID"]) == (200, "one")
    assert (form.status_code, form.json()["Work ID"]) == (200, "one")
    assert http.get("/status").json()["Jobs"] == 1
    other = http.put("/enqueue", params={"iterations": 4, "id": "one"}, content=b"\x00\xff data")
    assert (other.status_code, other.json()["Work ID"]) == (409, "one")


def test_enqueue_generates_an_id(http: httpx.Client) -> None:
    ids = {http.put("/enqueue?iterations=1", content=b"").json()["Work ID"] for _ in range(3)}
    assert len(ids) == 3
    assert http.get("/jobs").json()["cursor"] is None
    assert {job["id"] for job in http.get("/jobs?status=queued").json()["jobs"]} == ids


def test_a_submission_is_answered_with_its_location(http: httpx.Client) -> None:
    answer = submit(http, args=[1], meta={"who": "me"})
    assert answer.status_code == 201
    assert answer.json()["status"] == "queued"
    job = http.get(answer.headers["Location"]).json()
    assert job["id"] == answer.json()["id"]
    assert (job["function"], job["status"], job["meta"], job["attempts"]) == ("noop", "queued", {"who": "me"}, 0)
    assert submit(http, delay=60).json()["status"] == "scheduled"


def test_the_same_submission_twice_is_one_job(http: httpx.Client, worker: Worker) -> None:
    assert submit(http, id="mine", args=[1]).status_code == 201
    worker.finish_all()
    again = submit(http, id="mine", args=[1])
    assert (again.status_code, again.json()) == (200, {"id": "mine", "status": "finished"})
    other = submit(http, id="mine", args=[2])
    assert (other.status_code, other.json()["id"]) == (409, "mine")


def test_a_unique_key_is_free_again_after_its_time(http: httpx.Client) -> None:
    unique = {"key": "object 7", "within": 5}
    first = submit(http, unique=unique).json()["id"]
    second = submit(http, unique=unique, args=["other"])
    assert (second.status_code, second.json()["id"]) == (409, first)
    seconds = int(second.headers["Retry-After"])
    assert 1 <= seconds <= 5
    time.sleep(seconds)  # what the answer asks for
    assert submit(http, unique=unique).status_code == 201


def test_lifo_jobs_run_next(http: httpx.Client) -> None:
    for name, order in (("a", "fifo"), ("b", "fifo"), ("c", "lifo")):
        submit(http, id=name, order=order)
    assert [job["id"] for job in http.get("/jobs?status=queued").json()["jobs"]] == ["c", "a", "b"]


def test_a_finished_job_shows_its_result(http: httpx.Client, worker: Worker) -> None:
    submit(http, id="a")
    value = {"text": "é", "big": 10**20, "list": [1.5, None]}
    worker.finish_all(value)
    job = http.get("/jobs/a").json()
    assert (job["status"], job["result"], job["error"], job["worker"]) == ("finished", value, None, worker.name)
    assert job["created_at"] <= job["started_at"] <= job["ended_at"]


def test_a_failed_job_shows_its_error_and_can_be_requeued(http: httpx.Client, worker: Worker) -> None:
    submit(http, id="a")
    worker.fail_all()
    job = http.get("/jobs/a").json()
    assert job["status"] == "failed"
    assert job["error"]["reason"] == "exception"
    assert job["error"]["message"] == "ValueError: no"
    assert [job["id"] for job in http.get("/jobs?status=failed&queue=default").json()["jobs"]] == ["a"]
    assert http.post("/jobs/a/requeue").json() == {"id": "a", "status": "queued"}
    # A repetition changes nothing: the job is queued once.
    assert http.post("/jobs/a/requeue").status_code == 200
    assert worker.fail_all() == 1
    assert http.post("/queues/default/requeue-failed").json() == {"requeued": 1}
    assert http.post("/queues/nobody/requeue-failed").json() == {"requeued": 0}


def test_each_failed_attempt_of_a_job_is_shown(http: httpx.Client, worker: Worker) -> None:
    submit(http, id="a", retry={"max": 1})
    submit(http, id="b")
    assert worker.fail_all() == 3
    job = http.get("/jobs/a").json()
    assert [error["message"] for error in job["attempt_errors"]] == ["ValueError: no"] * 2
    assert job["attempt_errors"][1] == {
        **job["error"],
        "ended_at": job["ended_at"],
        "worker": worker.name,
    }
    assert len(http.get("/jobs/b").json()["attempt_errors"]) == 1
    assert all("attempt_errors" not in listed for listed in http.get("/jobs").json()["jobs"])


def test_a_waiting_job_is_canceled(http: httpx.Client, worker: Worker) -> None:
    submit(http, id="queued")
    submit(http, id="scheduled", delay=60)
    for name in ("queued", "scheduled"):
        assert http.post(f"/jobs/{name}/cancel").json() == {"id": name, "status": "canceled"}
        assert http.post(f"/jobs/{name}/cancel").status_code == 409
    assert worker.finish_all() == 0


def test_a_canceled_job_of_a_silent_worker_remains_started(http: httpx.Client, worker: Worker) -> None:
    submit(http, id="a")
    assert worker.claim() == 1
    answer = http.post("/jobs/a/cancel")
    assert (answer.status_code, answer.json()) == (202, {"id": "a", "status": "started"})
    assert http.delete("/jobs/a").status_code == 409


def test_canceling_a_job_whose_record_vanishes_meanwhile_is_answered_with_404(
    http: httpx.Client, worker: Worker, shared_server: ValkeyServer
) -> None:
    submit(http, id="a")
    assert worker.claim() == 1
    answers: list[httpx.Response] = []
    canceling = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{http.base_url}/jobs/a/cancel", timeout=ANSWER_SECONDS))
    )
    canceling.start()
    until(lambda: shared_server.command("HGET", "rq:job:a", "wm_cancel"), 20, wanted="the cancellation")
    shared_server.command("DEL", "rq:job:a")
    canceling.join(ANSWER_SECONDS)
    assert answers[0].status_code == 404


def test_a_deleted_job_is_gone(http: httpx.Client, worker: Worker) -> None:
    submit(http, id="a")
    assert http.delete("/jobs/a").status_code == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/requeue")):
        assert http.request(method, f"/jobs/a{path}").status_code == 404
    assert worker.finish_all() == 0


def test_waiting_for_a_job_ends_with_it(http: httpx.Client, worker: Worker, shared_server: ValkeyServer) -> None:
    for name in ("a", "b"):
        submit(http, id=name)
    answers: dict[str, Any] = {}

    def wait(name: str) -> None:
        answers[name] = httpx.get(f"{http.base_url}/jobs/{name}?wait=55", timeout=ANSWER_SECONDS).json()

    threads = [threading.Thread(target=wait, args=(name,)) for name in ("a", "b")]
    shared_server.command("CONFIG", "RESETSTAT")
    for thread in threads:
        thread.start()
    # Both requests look up their job, then its status is polled.
    until(lambda: calls(shared_server, "exists") >= 2 and calls(shared_server, "hget") >= 5, 20, wanted="waiting")
    worker.finish_all()
    # Sooner than the timeouts of the waits.
    for thread in threads:
        thread.join(10)
    assert {name: answer["status"] for name, answer in answers.items()} == {"a": "finished", "b": "finished"}


def test_waiting_for_a_job_ends_with_its_timeout(http: httpx.Client) -> None:
    submit(http, id="a")
    assert http.get("/jobs/a?wait=0.1").json()["status"] == "queued"


def test_a_list_goes_on_with_its_cursor(http: httpx.Client) -> None:
    ids = {submit(http).json()["id"] for _ in range(5)}
    listed: list[str] = []
    query = {"limit": "2", "status": "queued"}
    while True:
        page = http.get("/jobs", params=query).json()
        assert len(page["jobs"]) <= 2
        listed += [job["id"] for job in page["jobs"]]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    assert len(listed) == 5
    assert set(listed) == ids


def test_a_batch_is_answered_line_by_line(http: httpx.Client) -> None:
    submit(http, id="existing", args=[0])
    lines = [
        b'{"function":"noop","id":"first"}',
        b"",
        b"no json",
        b'{"function":"nobody"}',
        b'{"function":"noop","id":"existing"}',
        b'{"function":"noop","id":"first"}',
        b'{"function":"noop","unique":{"key":"k","within":60}}',
        b'{"function":"noop","unique":{"key":"k","within":60}}',
        b'{"function":"noop","id":"last"}',
    ]
    answer = http.post("/jobs/batch", content=b"\n".join(lines), headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200
    answers = [json.loads(line) for line in answer.text.splitlines()]
    assert [entry.get("id") or entry["error"]["status"] for entry in answers[:5]] == ["first", 400, 422, 409, "first"]
    assert answers[6]["error"]["id"] == answers[5]["id"]
    assert answers[7]["id"] == "last"
    assert http.get("/status").json()["Jobs"] == 4


def test_a_large_batch_keeps_its_order(http: httpx.Client) -> None:
    body = b"".join(b'{"function":"noop","id":"job-%05d"}\n' % number for number in range(5000))
    pieces = (body[start : start + 10_007] for start in range(0, len(body), 10_007))
    answer = http.post("/jobs/batch", content=pieces, headers={"Content-Type": "application/x-ndjson"})
    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == [f"job-{n:05d}" for n in range(5000)]
    assert http.get("/queues").json()["queues"][0]["queued"] == 5000
    first = http.get("/jobs?status=queued&limit=3").json()["jobs"]
    assert [job["id"] for job in first] == ["job-00000", "job-00001", "job-00002"]


def test_concurrent_requests_share_script_calls(start: Start, private_server: ValkeyServer) -> None:
    manager = start(private_server.url).wait_until_ready()
    private_server.command("CONFIG", "RESETSTAT")
    # Redis answers late, so that requests accumulate meanwhile.
    private_server.pause()
    request = b"PUT /enqueue?iterations=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
    with contextlib.ExitStack() as connections:
        clients = [
            connections.enter_context(socket.create_connection(("127.0.0.1", manager.port), timeout=ANSWER_SECONDS))
            for _ in range(200)
        ]
        for client in clients:
            client.sendall(request)
        # Answered only after the requests before it have been read.
        for _ in range(3):
            assert httpx.get(f"{manager.url}/healthz", timeout=ANSWER_SECONDS).is_success
        private_server.resume()
        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 200"}
    maintenance = 50
    assert calls(private_server, "eval") + calls(private_server, "evalsha") < 200 / 2 + maintenance
    assert httpx.get(f"{manager.url}/status", timeout=ANSWER_SECONDS).json()["Jobs"] == 200


@pytest.mark.parametrize("path", ["/queues", "/workers", "/status", "/metrics", "/docs", "/openapi.json", "/jobs"])
def test_head_is_get_without_a_body(http: httpx.Client, path: str) -> None:
    answer = http.head(path)
    assert answer.status_code == 200
    assert answer.content == b""


def test_metrics_count_requests_and_jobs(start: Start, private_server: ValkeyServer) -> None:
    # Its own server: what is in Redis is told by one manager, and others of this module still run.
    manager, worker = start(private_server.url).wait_until_ready(), Worker(private_server.url)
    with manager.client() as http:
        for _ in range(3):
            http.put("/enqueue?iterations=1", content=b"x")
        http.put("/enqueue?iterations=0")
        worker.finish_all()
        http.post("/pullCompleted?top=2")
        until(lambda: "workmanager_results_waiting 1.0" in http.get("/metrics").text, wanted="the queue's figures")
        text = http.get("/metrics").text
    assert 'workmanager_http_requests_total{method="PUT",route="/enqueue",status="200"} 3.0' in text
    assert 'workmanager_http_requests_total{method="PUT",route="/enqueue",status="400"} 1.0' in text
    assert "workmanager_jobs_submitted_total 3.0" in text
    assert "workmanager_results_pulled_total 2.0" in text
    assert "workmanager_results_waiting 1.0" in text
    assert 'workmanager_queue_jobs{queue="default",status="finished"} 3.0' in text
    until(
        lambda: "event=request_completed method=PUT path=/enqueue status=400" in manager.log,
        wanted="the line of the request",
    )


def test_jobs_are_found_by_their_labels(http: httpx.Client) -> None:
    labels = {"order": "42", "customer": "Müller & Co: 1"}
    for name in ("a", "b"):
        assert submit(http, id=name, labels=labels).status_code == 201
    batch = '{"function": "noop", "id": "c", "labels": {"order": "43"}}'
    assert http.post("/jobs/batch", content=batch, headers={"Content-Type": "application/x-ndjson"}).status_code == 200
    answer = http.get("/jobs", params={"label": "customer:Müller & Co: 1", "limit": 1}).json()
    assert ([job["id"] for job in answer["jobs"]], "incomplete" in answer) == (["b"], False)
    rest = http.get("/jobs", params={"label": "customer:Müller & Co: 1", "cursor": answer["cursor"]}).json()
    assert ([job["id"] for job in rest["jobs"]], rest["cursor"]) == (["a"], None)
    assert http.get("/jobs/a").json()["labels"] == labels
    with Client(str(http.base_url)) as client:
        assert [job["id"] for job in client.jobs(label="order:43", status="queued")] == ["c"]


@pytest.mark.parametrize(
    "labels",
    [
        {"a b": "1"},
        {"a:b": "1"},
        {"": "1"},
        {"a": ""},
        {"a": "x" * 129},
        {"a": "\n"},
        {"a": 1},
        dict.fromkeys("abcdefghi", "1"),
    ],
)
def test_labels_are_bounded(http: httpx.Client, labels: dict[str, Any]) -> None:
    answer = submit(http, labels=labels)
    assert (answer.status_code, answer.json()["errors"][0]["field"].split(".")[0]) == (422, "labels")


def test_a_search_names_one_label(http: httpx.Client) -> None:
    for label in ("order", "order:", ":42", "a b:1"):
        assert http.get("/jobs", params={"label": label}).status_code == 400
