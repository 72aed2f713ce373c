"""Bad requests get a clear error and change nothing."""

import json
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator

import httpx
import pytest

from jobqueue.servers.connection_pool import INFO_MAX_AGE_SECONDS
from manager.routes.batch import MAX_LINES
from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ANSWER_SECONDS, ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
FORM = {"Content-Type": "multipart/form-data; boundary=B"}
OTHER_FIELD = b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--B--\r\n'
MEBIBYTE = 1024 * 1024


def cursor(text: str) -> str:
    """Return what a client sends that has made a cursor of its own."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


NO_NUMBER, NO_TIME, TOO_LATE = map(cursor, ('[NaN,""]', '["dead",NaN,""]', f'["dead",1{"0" * 320},""]'))


# Keys that maintenance changes all the time are left out.
DIGEST = """
local by_itself = {['rq:wm:master'] = true, ['rq:wm:heard'] = true, ['rq:wm:reporter'] = true}
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if not by_itself[key] and not string.find(key, '^rq:scheduler%-lock:') then
    found[#found + 1] = key .. ' ' .. redis.sha1hex(redis.call('DUMP', key))
  end
end
table.sort(found)
return found
"""


def content(server: ValkeyServer) -> list[str]:
    """Return every key, with a digest of its value; none of those that a manager writes without a request."""
    keys: list[str] = server.command("EVAL", DIGEST, 0)
    return keys


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Redis server for this module."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shared_client(server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of one manager for all bad requests; its queue contains one job."""
    program = ManagerProgram(tmp_path_factory.mktemp("manager"), server.url).wait_until_ready()
    with program.client() as client:
        assert client.put("/enqueue?iterations=1&id=there", content=b"x").status_code == 200
        yield client
    assert program.stop() == 0
    assert "Traceback" not in program.log
    assert "ERROR" not in program.log


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("PUT", "/enqueue", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=0", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1000000001", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1.5", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=one", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1&iterations=2", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1&rounds=2", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1&id=a/b", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1&id=a%00", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1&id=%ff", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1&timeout=0", {}, b"x", 400),
        ("PUT", "/enqueue?iterations=1", {}, b"x" * (MEBIBYTE + 1), 413),
        ("PUT", "/enqueue?iterations=1", FORM, b"no form", 400),
        (
            "PUT",
            "/enqueue?iterations=1",
            FORM,
            b'--B\r\nContent-Disposition: form-data; name="d"\r\n\r\nx\r\n--B--',
            400,
        ),
        ("PUT", "/enqueue?iterations=1", {"Content-Type": "multipart/form-data"}, b"x", 400),
        ("PUT", "/enqueue?iterations=1", {"Content-Type": "multipart/mixed; boundary=B"}, b"x", 415),
        ("POST", "/enqueue?iterations=1", {}, b"x", 405),
        ("POST", "/pullCompleted", {}, b"", 400),
        ("POST", "/pullCompleted?top=0", {}, b"", 400),
        ("POST", "/pullCompleted?top=10001", {}, b"", 400),
        ("POST", "/pullCompleted?top=x", {}, b"", 400),
        ("POST", "/pullCompleted?top=1&order=random", {}, b"", 400),
        ("POST", "/pullCompleted?top=1&lease=0", {}, b"", 400),
        ("POST", "/pullCompleted?top=1&wait=56", {}, b"", 400),
        ("GET", "/pullCompleted?top=1", {}, b"", 405),
        ("POST", "/ackCompleted", JSON, b"", 400),
        ("POST", "/ackCompleted", JSON, b'{"ids":"a"}', 422),
        ("POST", "/ackCompleted", JSON, b'{"ids":[1]}', 422),
        ("POST", "/ackCompleted", JSON, b'{"ids":[],"all":true}', 422),
        ("POST", "/ackCompleted", {"Content-Type": "text/plain"}, b'{"ids":[]}', 415),
        ("POST", "/ackCompleted", JSON, b" " * (3 * MEBIBYTE), 413),
        ("POST", "/jobs", JSON, b"", 400),
        ("POST", "/jobs", JSON, b"{", 400),
        ("POST", "/jobs", JSON, b"\xff", 400),
        ("POST", "/jobs", JSON, b"[]", 422),
        ("POST", "/jobs", JSON, b'{"function":"nobody"}', 422),
        ("POST", "/jobs", JSON, b'{"function":"noop","callback_url":"http://localhost"}', 422),
        ("POST", "/jobs", JSON, b'{"function":"noop","args":[NaN]}', 422),
        ("POST", "/jobs", JSON, b'{"function":"noop","id":"a","unique":{"key":"k","within":1}}', 422),
        ("POST", "/jobs", JSON, b'{"function":"noop","data":"' + b"A" * 1398104 + b'"}', 413),
        ("POST", "/jobs", JSON, b'{"function":"noop","data":"' + b"A" * 2 * MEBIBYTE + b'"}', 413),
        ("POST", "/jobs", {"Content-Type": "text/xml"}, b"{}", 415),
        ("POST", "/jobs?dry=1", JSON, b'{"function":"noop"}', 400),
        ("PUT", "/jobs", JSON, b'{"function":"noop"}', 405),
        ("POST", "/jobs/batch", {"Content-Type": "text/csv"}, b'{"function":"noop"}', 415),
        ("POST", "/jobs/batch", NDJSON, b"\n\n", 400),
        ("POST", "/jobs/batch?x=1", NDJSON, b'{"function":"noop"}', 400),
        ("GET", "/jobs?status=lost", {}, b"", 400),
        ("GET", "/jobs?status=created", {}, b"", 400),
        ("GET", "/jobs?limit=0", {}, b"", 400),
        ("GET", "/jobs?limit=1001", {}, b"", 400),
        ("GET", "/jobs?cursor=nonsense", {}, b"", 400),
        ("GET", "/jobs?cursor=WyJxdWV1ZWQiLEluZmluaXR5LCJkZWZhdWx0IiwwXQ", {}, b"", 400),
        ("GET", "/jobs?cursor=WyJxdWV1ZWQiLDAsIlx1ZDgwMCIsMF0", {}, b"", 400),
        ("GET", "/jobs?cursor=WyJxdWV1ZWQiLDAsImRlZmF1bHQiLDk5OTk5OTk5OTk5OTk5OTk5OTk5OTldAA", {}, b"", 400),
        ("GET", f"/jobs?label=a:b&cursor={NO_NUMBER}", {}, b"", 400),
        ("GET", f"/callbacks?cursor={NO_TIME}", {}, b"", 400),
        ("GET", f"/callbacks?cursor={TOO_LATE}", {}, b"", 400),
        ("GET", f"/dashboard/failures?cursor={NO_NUMBER}", {}, b"", 400),
        ("GET", f"/dashboard/jobs?status=failed&cursor={NO_NUMBER}", {}, b"", 400),
        ("GET", "/jobs/nobody", {}, b"", 404),
        ("GET", "/jobs/a%00b", {}, b"", 404),
        ("GET", "/jobs/%ff", {}, b"", 404),
        ("GET", "/jobs/there?wait=56", {}, b"", 400),
        ("POST", "/jobs/nobody/cancel", {}, b"", 404),
        ("POST", "/jobs/nobody/requeue", {}, b"", 404),
        ("DELETE", "/jobs/nobody", {}, b"", 404),
        ("POST", "/queues/a%00b/requeue-failed", {}, b"", 404),
        ("GET", "/nowhere", {}, b"", 404),
        ("GET", "/jobs/", {}, b"", 404),
        ("DELETE", "/status", {}, b"", 405),
        ("OPTIONS", "/jobs", {}, b"", 405),
    ],
)
def test_a_bad_request_is_rejected_and_changes_nothing(
    shared_client: httpx.Client,
    server: ValkeyServer,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
) -> None:
    before = content(server)
    answer = shared_client.request(method, path, headers=headers, content=body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["type"].startswith("urn:workmanager:problem:")
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == path.partition("?")[0]
    if status == 405:
        assert method not in answer.headers["Allow"].split(", ")
        assert answer.headers["Allow"]
    assert content(server) == before
    assert len(before) > 3


def test_a_body_without_content_length_is_limited_too(http: httpx.Client) -> None:
    pieces = (b"x" * 100_000 for _ in range(20))
    assert http.put("/enqueue?iterations=1", content=pieces).status_code == 413
    assert http.get("/status").json()["Jobs"] == 0


def test_a_payload_of_exactly_the_limit_is_accepted(http: httpx.Client) -> None:
    data = b"x" * MEBIBYTE
    assert http.put("/enqueue?iterations=1", content=data).status_code == 200
    assert http.put("/enqueue?iterations=1", files={"data": data}).status_code == 200


def test_an_oversized_batch_ends_with_an_error_line(http: httpx.Client) -> None:
    body = b'{"function":"nobody"}\n' * (MAX_LINES + 1)
    answers = http.post("/jobs/batch", content=body, headers=NDJSON).text.splitlines()
    assert len(answers) == MAX_LINES + 1
    assert json.loads(answers[-1])["error"]["status"] == 413


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /jobs\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 100_000, b"431"),
        (b"GET /" + b"y" * 100_000, b"414"),
        (b"PUT /enqueue?iterations=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"PUT /enqueue?iterations=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n", b"413"),
        (
            b"POST /jobs/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
            b"Content-Length: 67108865\r\n\r\n",
            b"413",
        ),
    ],
)
def test_oversized_and_malformed_requests_are_rejected_early(
    manager: ManagerProgram, raw: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", manager.port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(raw)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in answer


def test_requests_cut_off_in_the_middle_change_nothing(http: httpx.Client, manager: ManagerProgram) -> None:
    before = manager.log.count("status=499")
    head = b"Host: localhost\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n\r\n{"
    for target in (b"PUT /enqueue?iterations=1", b"POST /jobs", b"POST /jobs/batch", b"POST /ackCompleted"):
        with socket.create_connection(("127.0.0.1", manager.port)) as connection:
            connection.sendall(target + b" HTTP/1.1\r\n" + head)
    until(lambda: manager.log.count("status=499") == before + 4, wanted=manager.log)
    assert http.get("/status").json()["Jobs"] == 0


def test_api_keys_are_required(start: Start, redis_url: str) -> None:
    manager = start(redis_url, API_KEYS="first-of-two-keys,second-of-two-keys")
    manager.wait_until_ready()
    wrong: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer third-of-two-keys"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic first-of-two-keys"},
        {"Authorization": "first-of-two-keys"},
    ]
    with manager.client() as client:
        for headers in wrong:
            for method, path in (("PUT", "/enqueue?iterations=1"), ("GET", "/metrics"), ("GET", "/nowhere")):
                answer = client.request(method, path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                assert answer.json()["type"].endswith(":unauthorized")
        for key in ("first-of-two-keys", "second-of-two-keys"):
            authorized = {"Authorization": f"Bearer {key}"}
            assert client.put("/enqueue?iterations=1", headers=authorized).status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        document = client.get("/openapi.json", headers=authorized).json()
    assert document["paths"]["/jobs"]["post"]["security"] == [{"key": ["jobs:write"]}]
    assert "security" not in document["paths"]["/healthz"]["get"]
    assert "first" not in manager.log


def test_a_full_redis_rejects_jobs_but_hands_out_results(start: Start, private_server: ValkeyServer) -> None:
    manager = start(private_server.url).wait_until_ready()
    with manager.client() as client:
        client.put("/enqueue?iterations=1&id=there", content=b"x")
        used = int(private_server.command("INFO", "memory")["used_memory"])
        private_server.command("CONFIG", "SET", "maxmemory", used)
        time.sleep(INFO_MAX_AGE_SECONDS + 0.1)  # the manager's knowledge of Redis' memory can be that old
        before = content(private_server)
        for answer in (
            client.put("/enqueue?iterations=1", content=b"x"),
            client.post("/jobs", json={"function": "noop"}),
        ):
            assert answer.status_code == 503
            assert answer.json()["type"].endswith(":full")
            assert answer.headers["Retry-After"] == "5"
        line = client.post("/jobs/batch", content=b'{"function":"noop"}', headers=NDJSON)
        assert json.loads(line.text)["error"]["status"] == 503
        assert content(private_server) == before
        assert client.post("/pullCompleted?top=1").json() == []
        assert client.post("/jobs/there/cancel").json()["status"] == "canceled"
        private_server.command("CONFIG", "SET", "maxmemory", 0)
        until(lambda: client.put("/enqueue?iterations=1", content=b"x").status_code == 200)
