"""A key that is bound to a queue reaches nothing of another queue: each of 650 tries is answered as for nothing."""

import asyncio
import re
import socket
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from redis import Redis

from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat, unregister
from tests.acceptance.manager.conftest import HEADER, Worker
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.manager.tenant_requests import (
    OWN_JOB,
    OWN_QUEUE,
    STATES,
    Target,
    TenantRequest,
    full_width,
    percent_encoded,
    requests,
)
from tests.waiting import until

SECRET = "TOP-SECRET"
QUEUE, NO_QUEUE = "secret-b", "nobody-x"
PREFIX, NO_PREFIX = "tb9q", "tn9q"
LEAST_REQUESTS = 100
VARYING = ("date", "x-request-id", "content-length")

Answer = tuple[int, dict[str, str], str]


@pytest.fixture(scope="module")
def victim(managers: tuple[ManagerProgram, ManagerProgram]) -> Iterator[Target]:
    """Another tenant's queue with a job in each state."""
    manager = managers[0]
    worker = Worker(manager.redis_url, QUEUE)
    with as_(manager, "a-key-of-the-environment") as operator:

        def submit(state: str, **options: Any) -> None:
            job = {"id": f"{PREFIX}-{state}", "function": "noop", "queue": QUEUE, "meta": {"note": SECRET}}
            operator.post("/jobs", json={**job, **options}).raise_for_status()

        operator.post("/jobs", json={"id": OWN_JOB, "function": "noop", "queue": OWN_QUEUE}).raise_for_status()
        submit("finished")
        worker.finish_all(SECRET)
        submit("failed")
        worker.fail_all(f"{HEADER}\nValueError: {SECRET}")
        submit("started")
        worker.claim(lease_seconds=600)
        submit("queued", labels={"owner": PREFIX})
        submit("scheduled", delay=600)
        submit("canceled")
        operator.post(f"/jobs/{PREFIX}-canceled/cancel").raise_for_status()
        _submit_all_else(operator, Redis.from_url(manager.redis_url))
        held = {"function": "noop", "queue": QUEUE, "unique": {"key": f"{PREFIX}-unique", "within": 600}}
        operator.post("/jobs", json=held).raise_for_status()
        for state in STATES:
            assert operator.get(f"/jobs/{PREFIX}-{state}").json()["status"] == state
        cursor = operator.get(f"/jobs?queue={QUEUE}&limit=1").json()["cursor"]
        yield Target(PREFIX, QUEUE, cursor, create(manager, "jobs:read", queues=[QUEUE])["id"])


@pytest.fixture
def tenant(first: ManagerProgram) -> str:
    """The text of a key that is bound to a queue of its own."""
    return str(create(first, "jobs:read", "jobs:write", queues=[OWN_QUEUE])["key"])


def test_no_request_reaches_a_job_or_a_queue_of_another_tenant(
    first: ManagerProgram, operator: httpx.Client, victim: Target, tenant: str
) -> None:
    cursor = b64encode(b64decode(victim.cursor + "==").replace(QUEUE.encode(), NO_QUEUE.encode())).decode().rstrip("=")
    nothing = Target(NO_PREFIX, NO_QUEUE, cursor, "deadbeef")
    tries = list(zip(requests(victim), requests(nothing), strict=True))
    assert len(tries) >= LEAST_REQUESTS
    before = _state(first, operator)
    different = []
    for attempt, control in tries:
        answer, expected = _send(first, attempt, tenant), _send(first, control, tenant)
        if _neutral(answer, victim) != _neutral(expected, nothing):
            different.append((attempt, answer, expected))
        assert answer[0] < 500, (attempt, answer)
        assert SECRET not in answer[2], (attempt, answer)
    assert not different, "\n".join(map(str, different))
    assert _state(first, operator) == before
    assert {job["queue"] for job in _jobs(first, tenant)} == {OWN_QUEUE}


def test_what_another_tenant_does_changes_no_number_that_a_key_sees(
    first: ManagerProgram, operator: httpx.Client, victim: Target, tenant: str
) -> None:
    def views() -> list[str]:
        paths = ("/jobs", "/queues", "/status", "/metrics", f"/jobs/{OWN_JOB}")
        answers = [_send(first, TenantRequest("GET", path), tenant)[2] for path in paths]
        # The age of the oldest job grows by itself.
        return [re.sub(r'(oldest[^ :]*"?[ :])[0-9.]+', r"\1", each) for each in answers]

    before = views()
    for number in range(3):
        operator.post("/jobs", json={"function": "noop", "queue": f"{QUEUE}-{number}"}).raise_for_status()
    operator.post(f"/queues/{QUEUE}/pause").raise_for_status()
    operator.post(f"/queues/{QUEUE}/requeue-failed").raise_for_status()
    assert views() == before
    operator.post(f"/queues/{QUEUE}/resume").raise_for_status()


def test_a_queue_whose_name_begins_with_that_of_another_is_another(first: ManagerProgram, victim: Target) -> None:
    for queues in (
        [QUEUE[:-1]],
        [f"{QUEUE}-"],
        [QUEUE.upper()],
        [f"{QUEUE}-*"],
        ["*-a"],
        ["."],
        [QUEUE.replace("-", ".")],
    ):
        key = create(first, "jobs:read", queues=queues)["key"]
        assert _send(first, TenantRequest("GET", f"/jobs/{PREFIX}-queued"), key)[0] == 404, queues
        assert QUEUE not in _send(first, TenantRequest("GET", "/queues"), key)[2].replace(f"{QUEUE}-", "")


def test_of_a_unique_key_that_another_tenant_holds_only_that_is_told(
    first: ManagerProgram, operator: httpx.Client, victim: Target, tenant: str
) -> None:
    job = {"function": "noop", "queue": OWN_QUEUE, "unique": {"key": f"{PREFIX}-unique", "within": 60}}
    with as_(first, tenant) as client:
        refused = client.post("/jobs", json=job)
        assert (refused.status_code, "id" in refused.json()) == (409, False)
        (line,) = client.post(
            "/jobs/batch",
            content=httpx.Request("POST", "http://x", json=job).content,
            headers={"Content-Type": "application/x-ndjson"},
        ).text.splitlines()
        holder = operator.post("/jobs", json=job).json()["id"]
        assert holder not in refused.text + line


def test_of_an_id_that_another_tenants_job_has_only_that_is_told(
    first: ManagerProgram, victim: Target, tenant: str
) -> None:
    with as_(first, tenant) as client:
        refused = client.post("/jobs", json={"id": f"{PREFIX}-finished", "function": "noop", "queue": OWN_QUEUE})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:workmanager:problem:id-conflict")
    assert refused.json().keys() == {"type", "title", "status", "detail", "instance", "id"}
    for word in (SECRET, QUEUE, '"finished"'):
        assert word not in refused.text


def test_a_name_that_another_tenant_has_is_refused_and_stays_theirs(
    first: ManagerProgram, operator: httpx.Client, victim: Target, tenant: str
) -> None:
    own = {"function": "noop", "queue": OWN_QUEUE}
    plan = f"/schedules/{victim.schedule}"
    before = _state(first, operator)
    with as_(first, tenant) as client:
        answers = [
            client.put(plan, json={"every": "1h", "job": own}),
            client.put(f"{plan}?dry_run=true", json={"every": "1h", "job": own}),
            client.post("/workflows", json={"id": victim.workflow, "jobs": {"a": own}}),
            client.post("/workflows", json={"id": victim.workflow, "jobs": {"a": own}, "finally": own}),
            client.post("/operations", json={"id": victim.operation, "action": "cancel", "filter": {}}),
            client.post(
                "/operations",
                json={"id": victim.operation, "action": "cancel", "filter": {"queue": OWN_QUEUE, "function": "none"}},
            ),
        ]
    for answer in answers:
        assert answer.status_code in (403, 409, 422), (answer.request.url, answer.text)
        for word in (SECRET, QUEUE):
            assert word not in answer.text
    assert _state(first, operator) == before


def test_who_holds_the_places_of_a_limit_is_not_told_to_another_tenant(
    first: ManagerProgram, operator: httpx.Client, tenant: str
) -> None:
    limits = [{"key": f"{PREFIX}-places", "concurrency": 1}]
    holder = {"id": f"{PREFIX}-holder", "function": "noop", "queue": f"{QUEUE}-places", "limits": limits}
    operator.post("/jobs", json=holder).raise_for_status()
    Worker(first.redis_url, f"{QUEUE}-places").claim(lease_seconds=600)
    with as_(first, tenant) as client, _idle_worker(first.redis_url, OWN_QUEUE):
        waiting = client.post("/jobs", json={"function": "noop", "queue": OWN_QUEUE, "limits": limits}).json()["id"]
        texts = [client.get(f"/jobs/{waiting}{view}").text for view in ("", "/explain")]
        texts.append(client.get(f"/dashboard/jobs/{waiting}", headers={"Accept": "text/html"}).text)
        seen_by_operator = operator.get(f"/jobs/{waiting}/explain").text
        client.delete(f"/jobs/{waiting}").raise_for_status()
    assert f"{PREFIX}-places" in texts[1]
    assert f"{PREFIX}-holder" in seen_by_operator
    for text in texts:
        assert f"{PREFIX}-holder" not in text
        assert QUEUE not in text


def test_a_job_that_has_gone_to_another_queue_while_a_request_waits_for_it_is_not_shown(
    first: ManagerProgram, operator: httpx.Client, tenant: str
) -> None:
    operator.post(
        "/jobs", json={"id": "again", "function": "noop", "queue": OWN_QUEUE, "delay": 600}
    ).raise_for_status()
    redis = Redis.from_url(first.redis_url)
    with ThreadPoolExecutor(1) as pool, redis.monitor() as monitor:
        waiting = pool.submit(_send, first, TenantRequest("GET", "/jobs/again?wait=40"), tenant)
        next(each for each in monitor.listen() if each["command"] == "HGET rq:job:again status")
        # As if the job had been deleted, and another tenant had taken its id.
        redis.hset("rq:job:again", mapping={"origin": QUEUE, "status": "finished"})
        assert waiting.result(30)[0] == 404
    redis.delete("rq:job:again")


@contextmanager
def _idle_worker(redis_url: str, queue: str) -> Iterator[None]:
    """Register a worker of the queue that never takes a job: without one, its absence explains all."""

    async def change(*, is_there: bool) -> None:
        shards = await Shards.connect(redis_url)
        for shard in shards:
            if is_there:
                await register(shard, WorkerRecord("idle", "host", 1, (queue,), 1))
                await send_worker_heartbeat(shard, "idle", WorkerHeartbeat("busy", 1, 0, 0, 0.0))
            else:
                await unregister(shard, "idle", (queue,))
        await shards.close()

    asyncio.run(change(is_there=True))
    try:
        yield
    finally:
        asyncio.run(change(is_there=False))


def _submit_all_else(operator: httpx.Client, redis: Redis) -> None:
    """Make a workflow, a schedule, an operation that has ended, and a callback that was given up."""
    of_prefix = Target(PREFIX, QUEUE, "", "")
    limit = {"key": PREFIX, "concurrency": 100}
    job = {"function": "noop", "queue": QUEUE, "meta": {"note": SECRET}, "limits": [limit]}
    operator.post("/workflows", json={"id": of_prefix.workflow, "jobs": {"a": job}}).raise_for_status()
    schedule = {"cron": "0 0 1 1 *", "job": job}
    operator.put(f"/schedules/{of_prefix.schedule}", json=schedule).raise_for_status()
    operation = {"id": of_prefix.operation, "action": "cancel", "filter": {"queue": QUEUE, "function": "none"}}
    operator.post("/operations", json=operation).raise_for_status()
    until(lambda: operator.get(f"/operations/{of_prefix.operation}").json()["status"] == "finished")
    entry = {"job": of_prefix.job("failed"), "event": "failed", "queue": QUEUE, "host": f"{QUEUE}.example:443"}
    redis.hset(f"rq:wm:callback:{of_prefix.callback}", mapping={**entry, "function": SECRET, "url": SECRET})
    redis.zadd("rq:wm:callbacks:dead", {of_prefix.callback: 1})


def _send(manager: ManagerProgram, request: TenantRequest, key: str) -> Answer:
    """Send the request as it stands: clients would tidy up its path."""
    lines = [f"{request.method} {request.path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines += [f"Content-Length: {len(request.body)}", "Connection: close", "", ""]
    with socket.create_connection(("127.0.0.1", manager.port), 60) as connection:
        connection.sendall("\r\n".join(lines).encode("ascii") + request.body)
        response = HTTPResponse(connection, method=request.method)
        response.begin()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return response.status, fields, response.read().decode()


def _neutral(answer: Answer, target: Target) -> tuple[int, dict[str, str], str]:
    """Return what must be the same for all targets."""
    status, fields, body = answer
    kept = {name: _without(value, target) for name, value in fields.items() if name not in VARYING}
    return status, kept, _without(body, target)


def _without(text: str, target: Target) -> str:
    """Return the text without the target's names in any form, and without ids that a manager has made."""
    start = target.queue[:6]
    for form in (
        *_forms(target.prefix),
        *_forms(target.queue),
        f"{start}*",
        f"{start}%2A",
        target.key_id,
        target.cursor,
    ):
        text = text.replace(form, "TARGET")
    text = re.sub(r'"20[0-9T:.-]+Z"', '"TIME"', text)
    # Of random length, so that the length of a compressed page tells nothing.
    text = re.sub("<!-- [A-Za-z0-9_-]* -->", "", text)
    text = re.sub(r'(oldest[^ :]*"?[ :])[0-9.]+', r"\1", text)
    # The longest wait, on the dashboard's pages of the overview and the queues; of a slow machine, minutes.
    wait = "[0-9.]+ (?:s|min)(?: [0-9]+ s)?"
    text = re.sub(rf'{wait}( <small>in )|<td class="n">{wait}</td>', r"\1", text)
    return re.sub(r"[0-9a-f]{32}", "ID", text)


def _forms(name: str) -> Iterator[str]:
    encoded, wide = percent_encoded(name), full_width(name)
    yield from (name, name.upper(), name.title(), encoded, encoded.replace("%", "%25"), wide, quote(wide))
    yield from (f"{quote(name[0])}{name[1:]}", f"{percent_encoded(name[0])}{name[1:]}")


def _state(manager: ManagerProgram, operator: httpx.Client) -> dict[str, Any]:
    """Return everything of the other tenant, as the operator and Redis see it."""
    jobs = {state: operator.get(f"/jobs/{PREFIX}-{state}").json() for state in STATES}
    (queue,) = [each for each in operator.get("/queues").json()["queues"] if each["name"] == QUEUE]
    queue.pop("oldest_seconds", None)
    scaler = operator.get("/scaler").json()
    redis = Redis.from_url(manager.redis_url)
    names = [name for name in redis.scan_iter() if QUEUE.encode() in name or f":{PREFIX}-".encode() in name]
    return {
        "jobs": jobs,
        "queue": queue,
        "feed": redis.zrange("rq:wm:feed", 0, -1),
        "leases": redis.zrange("rq:wm:leases", 0, -1),
        "unique": redis.get(f"rq:wm:unique:{PREFIX}-unique"),
        "records": {name: redis.dump(name) for name in sorted(names) if b":wm:wake:" not in name},
        "keys": {each["id"]: each for each in operator.get("/keys").json()["keys"]},
        "scaler": (scaler["paused"], scaler["limits"]),
    }


def _jobs(manager: ManagerProgram, key: str) -> list[dict[str, Any]]:
    with as_(manager, key) as client:
        return list(client.get("/jobs?limit=1000").json()["jobs"])
