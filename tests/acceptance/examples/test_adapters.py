"""The adapters that speak other systems' APIs, as their READMEs say, and under hard use."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from redis import Redis
from rq import Queue

from tests.acceptance.examples.checkout import EXAMPLES, Checkout, load, serving
from tests.acceptance.manager.callback_receiver import Receiver, Reply
from tests.acceptance.manager.keyed_managers import OPERATOR
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.sha512 import sha512
from tests.ports import pick_port
from tests.waiting import until
from workmanager.client import Client

pytestmark = pytest.mark.timeout(120)

Start = Callable[..., httpx.Client]
ADAPTERS = sorted(EXAMPLES.glob("*/adapter.py"))
ODD_IDS = ["unknown", "%C3%B6", "a%2F..%2Fb", "%00", "%FF", "a%20b%3Fc%23d", "..%2Fstatus", "x" * 3000, "%2E%2E"]
WRONG_BODIES = [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b'{"object_id": 7}', b"[" * 100_000]


@pytest.fixture
def adapter(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that serves an adapter with these variables in its environment, and returns a client of it."""
    with contextlib.ExitStack() as stack:

        def start(example: str, **environ: str) -> httpx.Client:
            for name, value in {"WORKMANAGER_URL": ",".join(checkout.up.urls), **environ}.items():
                monkeypatch.setenv(name, value)
            return stack.enter_context(serving(load(example).app))

        yield start


def _ended(read: Any, running: set[str]) -> Any:
    """Return the answer about a job as soon as its status is none of those of a job that has not ended."""
    return until(lambda: answer if (answer := read())["status"] not in running else None, wanted="the end of a job")


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.parent.name)
def test_an_adapter_has_at_most_100_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 100


def test_queue_work_management_needs_no_adapter_and_its_client_survives_the_loss_of_a_node(checkout: Checkout) -> None:
    with checkout.read("queue_work_management") as reader:
        os.kill(checkout.up.pid_of(f"-m manager --host 127.0.0.1 --port {checkout.up.port} "), signal.SIGKILL)
        printed = reader.run(reader.block("client.py"))
    with Client(checkout.up.urls[0], retry_seconds=60) as restarted:
        restarted.status()
    values = {file: sha512((checkout.directory / file).read_bytes(), 1000) for file in ("README.md", "LICENSE")}
    assert sorted(line.split() for line in printed) == sorted([value, file] for file, value in values.items())


def test_hasty_as_its_readme_says(checkout: Checkout, client: Client) -> None:
    with checkout.read("hasty", HASTY_SLEEP="0.1-0.2") as reader:
        url = reader.start(reader.block("uvicorn"), 8080)
        create, show = reader.block("JOB_ID").splitlines()
        (created,) = map(json.loads, reader.run(create))
        job_id = created["message"]["job_id"]
        client.wait_for_jobs([job_id])
        (shown,) = map(json.loads, reader.run(show.replace("JOB_ID", job_id)))
        again = httpx.post(url, content='{"object_id": "random-object-id"}')
    # As the end-to-end test of Hasty's repository asks for it.
    assert shown["message"].pop("timestamp") <= time.time()
    assert shown == {"message": {"job_id": job_id, "object_id": "random-object-id", "status": "finished"}}
    assert again.status_code == 400
    assert again.json() == {"message": "you need to wait 5 minutes before rerunning the same job"}
    assert 200 < int(again.headers["Retry-After"]) <= 300


def test_hasty_cancels_a_job_after_its_timeout(adapter: Start) -> None:
    hasty = adapter("hasty", HASTY_SLEEP="30-30", HASTY_TIMEOUT="1")
    created = hasty.post("/", json={"object_id": "slow"})
    assert created.status_code == 201
    path = f"/{created.json()['message']['job_id']}"
    assert hasty.get(path).json()["message"]["status"] == "processing"
    assert _ended(lambda: hasty.get(path).json()["message"], {"processing"})["status"] == "cancelled"


@pytest.mark.parametrize(("setting", "status"), [({}, 400), ({"HASTY_UNKNOWN_JOB_STATUS": "404"}, 404)])
def test_hasty_under_hard_use(adapter: Start, client: Client, setting: dict[str, str], status: int) -> None:
    hasty = adapter("hasty", **setting)
    foreign = client.submit("noop")
    for job_id in [*ODD_IDS, foreign]:
        answer = hasty.get(f"/{job_id}")
        assert answer.status_code == status, job_id
        assert answer.json() == {"message": f"no job with id: {unquote(job_id)}"}
    for body in [
        *WRONG_BODIES,
        b'{"object_id": ""}',
        b'{"object_id": "%s"}' % (b"x" * 300),
        b'{"object_id": "\\ud800"}',
    ]:
        answer = hasty.post("/", content=body)
        assert answer.status_code == 400, body
        assert "object_id" in answer.json()["message"]


def test_hasty_beside_jobs_of_rq_and_a_url_that_is_no_managers(adapter: Start, checkout: Checkout) -> None:
    hasty = adapter("hasty")
    with Redis.from_url(checkout.redis_url) as redis:
        foreign = Queue("rq", connection=redis).enqueue("time.time", meta={"object_id": "pickled"})
    answer = hasty.get(f"/{foreign.id}")
    assert (answer.status_code, answer.json()) == (400, {"message": f"no job with id: {foreign.id}"})
    astray = adapter("hasty", WORKMANAGER_URL=f"{checkout.up.urls[0]}/elsewhere")
    answer = astray.post("/", json={"object_id": "a"})
    assert answer.status_code == 502
    assert "refused" in answer.json()["message"]


def test_hasty_takes_odd_objects(adapter: Start) -> None:
    hasty = adapter("hasty", HASTY_SLEEP="0-0")
    for object_id in ("ö/..?\0\n", "😀" * 200, " ", "%"):
        job_id = hasty.post("/", json={"object_id": object_id}).json()["message"]["job_id"]
        assert hasty.get(f"/{job_id}").json()["message"]["object_id"] == object_id


def test_http_request_processor_as_its_readme_says(checkout: Checkout, client: Client) -> None:
    with checkout.read("http_request_processor") as reader:
        receiver = reader.start(reader.block("receiver.py"), 8090)
        url = reader.start(reader.block("uvicorn"), 8080)
        submit, check = reader.block("JOB_ID").replace("\\\n", "").splitlines()
        (submitted,) = map(json.loads, reader.run(submit))
        client.wait_for_jobs([submitted["jobId"]])
        (shown,) = map(json.loads, reader.run(check.replace("JOB_ID", submitted["jobId"])))
        event = json.loads(reader.printed_line("receiver.py"))
        assert httpx.post(receiver, json=event).status_code == 401
        assert "swagger" in httpx.get(f"{url}/swagger").text
    assert submitted["status"] == "NOT_STARTED"
    assert (shown["jobId"], shown["status"]) == (submitted["jobId"], "FINISHED_SUCCESS")
    assert (event["data"]["id"], event["data"]["status"]) == (submitted["jobId"], "finished")


def test_http_request_processor_tells_failures_and_timeouts_until_they_are_taken(adapter: Start) -> None:
    processor = adapter("http_request_processor")
    with Receiver(answer=lambda _: Reply(204)) as receiver:
        common = {"callbackUrl": receiver.url, "timeout": 1}
        bodies = [{**common, "parameters": {"seconds": seconds}} for seconds in (30, "no number")]
        ids = [processor.post("/submit-job", json=body).json()["jobId"] for body in bodies]
        shown = [
            _ended(lambda path=f"/check-job-status/{job_id}": processor.get(path).json(), {"NOT_STARTED", "STARTED"})
            for job_id in ids
        ]
        events = {received.verified()["data"]["id"]: received.verified()["data"] for received in receiver.wait(2)}
    assert [job["status"] for job in shown] == ["FINISHED_TIMEOUT", "FINISHED_FAILED"]
    assert [processor.get("/check-job-status", params={"job_id": job_id}).json() for job_id in ids] == shown
    assert [(events[job_id]["status"], events[job_id]["error"]["reason"]) for job_id in ids] == [
        ("failed", "timeout"),
        ("failed", "exception"),
    ]


def test_http_request_processor_runs_a_number_of_jobs_at_a_time(adapter: Start, client: Client) -> None:
    processor = adapter("http_request_processor", PROCESSOR_MAX_JOBS="1")
    client.set_limit("http-requests", concurrency=1)
    ids = [processor.post("/submit-job", json={"parameters": {"seconds": 0.2}}).json()["jobId"] for _ in range(2)]
    client.wait_for_jobs(ids)
    first, second = sorted((client.job(job_id) for job_id in ids), key=lambda job: str(job["started_at"]))
    assert second["started_at"] >= first["ended_at"]


def test_http_request_processor_under_hard_use(adapter: Start, client: Client) -> None:
    processor = adapter("http_request_processor")
    foreign = client.submit("noop")
    for job_id in [*ODD_IDS, foreign]:
        answer = processor.get(f"/check-job-status/{job_id}")
        assert (answer.status_code, answer.json()["status"]) == (404, 404), job_id
    json_type = {"Content-Type": "application/json"}
    wrong = [b'{"timeout": 0}', b'{"timeout": "x"}', b'{"parameters": 1}', b'{"parameters": {"a": NaN}}']
    for body in [
        *WRONG_BODIES[:-2],
        *wrong,
        WRONG_BODIES[-1],
        b'{"callback_url": "ftp://x"}',
        b'{"callback_url": "\\ud800"}',
    ]:
        answer = processor.post("/submit-job", content=body, headers=json_type)
        assert (answer.status_code, answer.json()["status"]) == (400, 400), body


def test_job_queue_management_as_its_readme_says(checkout: Checkout, client: Client) -> None:
    answers = iter([500, 500, 200])
    with (
        checkout.read("job_queue_management", JOB_QUEUE_CONFIG="") as reader,
        Receiver(answer=lambda _: Reply(next(answers)), port=reader.port(8091)) as service,
    ):
        config = (EXAMPLES / "job_queue_management/config.yaml").read_text()
        own = checkout.directory / "config.yaml"
        own.write_text(config.replace("127.0.0.1:8091", service.host).replace("[1, 2, 4]", "[0, 0, 0]"))
        start = reader.block("uvicorn").replace("examples/job_queue_management/config.yaml", str(own))
        reader.start(start, 8080)
        add, show = reader.block("addJob -d").splitlines()
        (added,) = map(json.loads, reader.run(add))
        client.wait_for_jobs([added["id"]])
        (shown,) = map(json.loads, reader.run(show))
    assert [json.loads(received.body) for received in service.requests] == [{"below": 100000}] * 3
    (job,) = shown["completed"]["jobs"]
    assert (job["id"], job["attempts"], job["error"]) == (added["id"], 3, None)


def test_job_queue_management_keeps_what_failed(adapter: Start, client: Client, tmp_path: Path) -> None:
    with Receiver(answer=lambda _: Reply(500)) as service:
        config = tmp_path / "config.yaml"
        retries = "retries: {max: 2, intervals: [0]}"
        config.write_text(f"queue: dead-letters\nservice: {{url: '{service.url}', timeout: 5}}\n{retries}\n")
        system = adapter("job_queue_management", JOB_QUEUE_CONFIG=str(config))
        job_id = system.post("/addJob", json={"order": "7"}).json()["id"]
        client.wait_for_jobs([job_id])
        everything = system.get("/status").json()
        assert [received.event for received in service.requests] == [{"order": "7"}] * 3
        assert {name: part["count"] for name, part in everything.items()} == {
            "pending": 0,
            "processing": 0,
            "completed": 0,
            "failed": 1,
        }
        (dead,) = everything["failed"]["jobs"]
        assert (dead["attempts"], "500" in dead["error"]["message"]) == (3, True)
        assert client.requeue_failed("dead-letters")["requeued"] == 1
        client.wait_for_jobs([job_id])
    assert len(service.requests) == 4


def test_job_queue_management_under_hard_use(adapter: Start) -> None:
    system = adapter("job_queue_management")
    for body in [*WRONG_BODIES[:6], WRONG_BODIES[-1], b'{"a": NaN}']:
        answer = system.post("/addJob", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), body
        assert answer.json()["detail"]
    for query in ("status=dead", "status=%FF", "limit=-1", "limit=x", "limit=100000"):
        assert system.get(f"/status?{query}").status_code == 422, query
    assert system.get("/status?status=pending&limit=0").json() == {"pending": {"count": 0, "jobs": []}}


@pytest.fixture(scope="module")
def keyed_url(checkout: Checkout) -> Iterator[str]:
    """The URL of one more manager of the same system, which asks for API keys."""
    manager = ManagerProgram(checkout.directory / "keyed", checkout.redis_url, ("--scaler", "none"), API_KEYS=OPERATOR)
    yield manager.wait_until_ready().url
    manager.kill()


def _as(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_job_processing_api_as_its_readme_says(checkout: Checkout, client: Client, keyed_url: str) -> None:
    environ = {"WORKMANAGER_URL": keyed_url, "WORKMANAGER_API_KEY": OPERATOR}
    with checkout.read("job_processing_api", **environ) as reader:
        for documented in (5000, 5001):
            reader.use(documented, int(keyed_url.rpartition(":")[2]))
        reader.start(reader.block("uvicorn"), 8080)
        *create, show = reader.block("messages/ID").splitlines()
        *printed, key = reader.run("\n".join([*create, 'echo "$READER"']))
        (created,) = map(json.loads, printed)
        client.wait_for_jobs([created["id"]])
        (shown,) = map(json.loads, reader.run(f"READER={key}\n{show.replace('/ID', '/' + created['id'])}"))
    assert created.keys() == {"id"}
    assert (shown["id"], shown["status"]) == (created["id"], "finished")
    assert (shown["message"], shown["result"]) == ("hello", None)


def test_job_processing_api_takes_the_last_message_first(adapter: Start, client: Client) -> None:
    api = adapter("job_processing_api")
    client.pause_queue("messages")
    ids = [api.post("/messages", json={"message": number}).json()["id"] for number in range(4)]
    client.resume_queue("messages")
    client.wait_for_jobs(ids)
    shown = [api.get(f"/messages/{message_id}").json() for message_id in ids]
    assert [message["message"] for message in sorted(shown, key=lambda one: one["started_at"])] == [3, 2, 1, 0]


def test_job_processing_api_asks_for_the_scope(adapter: Start, keyed_url: str) -> None:
    api = adapter("job_processing_api", WORKMANAGER_URL=keyed_url)
    with Client(keyed_url, OPERATOR) as operator:
        reader, writer = (operator.create_key([scope])["key"] for scope in ("jobs:read", "jobs:write"))
    body = {"message": {"any": ["value"]}}
    queued = api.post("/messages", json=body, headers=_as(writer))
    path = f"/messages/{queued.json()['id']}"
    statuses = {
        "a reader writes": api.post("/messages", json=body, headers=_as(reader)).status_code,
        "a writer reads": api.get(path, headers=_as(writer)).status_code,
        "nobody": api.get(path).status_code,
        "a wrong token": api.get(path, headers=_as("wrong")).status_code,
        "another scheme": api.get(path, headers={"Authorization": "Basic abc"}).status_code,
    }
    assert queued.status_code == 201
    assert api.get(path, headers=_as(reader)).json()["message"] == body["message"]
    assert statuses == {"a reader writes": 403, "a writer reads": 403} | dict.fromkeys(list(statuses)[2:], 401)
    assert "workmanager_" in api.get("/metrics", headers=_as(OPERATOR)).text
    assert api.get("/metrics").status_code == 401
    odd = {"Authorization": "Bearer \u00e9".encode("latin-1")}
    assert (api.get(path, headers=odd).status_code, api.get("/metrics", headers=odd).status_code) == (400, 400)
    assert "HTTPBearer" in api.get("/openapi.json").text


def test_job_processing_api_under_hard_use(adapter: Start, client: Client) -> None:
    api = adapter("job_processing_api")
    foreign = client.submit("noop")
    for message_id in [*ODD_IDS, foreign]:
        answer = api.get(f"/messages/{message_id}")
        assert (answer.status_code, list(answer.json())) == (404, ["error"]), message_id
    for body in [*WRONG_BODIES, b'{"message": NaN}', b'{"message": "\\ud800"}']:
        answer = api.post("/messages", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, list(answer.json())) == (400, ["error"]), body
    for message in (None, "", "\0", [[[]]], 1e300):
        queued = api.post(
            "/messages", content=json.dumps({"message": message}), headers={"Content-Type": "application/json"}
        )
        assert queued.status_code == 201, queued.text
        assert "message" in api.get(f"/messages/{queued.json()['id']}").json()


@pytest.mark.parametrize(
    ("example", "method", "path", "body"),
    [
        ("hasty", "POST", "/", {"object_id": "a"}),
        ("hasty", "GET", "/an-id", None),
        ("http_request_processor", "POST", "/submit-job", {}),
        ("http_request_processor", "GET", "/check-job-status/an-id", None),
        ("job_queue_management", "POST", "/addJob", {}),
        ("job_queue_management", "GET", "/status", None),
        ("job_processing_api", "POST", "/messages", {"message": 1}),
        ("job_processing_api", "GET", "/messages/an-id", None),
        ("job_processing_api", "GET", "/metrics", None),
    ],
)
def test_an_adapter_says_that_the_manager_is_away(
    monkeypatch: pytest.MonkeyPatch, example: str, method: str, path: str, body: object
) -> None:
    away = f"http://127.0.0.1:{pick_port()}"
    monkeypatch.setenv("WORKMANAGER_URL", away)
    module = load(example)
    with Client(away, retry_seconds=0) as client, serving(module.app) as adapter:
        for name, replacement in (("client", client), ("client_for", lambda _: client)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, replacement)  # one that gives up at once
        answer = adapter.request(method, path, json=body)
    assert answer.status_code == 503
    assert "the job queue is away" in answer.text
    assert int(answer.headers["Retry-After"]) > 0
