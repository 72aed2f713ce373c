"""Behind proxies as they are configured out of the box, every answer arrives, refusals above all."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.http.conftest import Start
from tests.acceptance.http.proxies import find, proxy
from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.manager_program import ANSWER_SECONDS, ManagerProgram
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

TRIES = int(os.environ.get("WORKMANAGER_TEST_HTTP_ROUNDS", "4"))
KEY = {"Authorization": "Bearer a-key-of-some-length"}
LARGE = b"x" * 3_000_000


@pytest.fixture(scope="module")
def manager_with_key(start: Start) -> ManagerProgram:
    """A manager that needs a key."""
    return start(API_KEYS="a-key-of-some-length")


@pytest.fixture(scope="module", params=["nginx", "nginx, unbuffered", "nginx, keep-alive", "haproxy"])
def proxy_name(request: pytest.FixtureRequest) -> str:
    """The name of a proxy's configuration."""
    name: str = request.param
    program = name.partition(",")[0]
    if not find(program):
        pytest.skip(f"{program} is not installed")
    return name


@pytest.fixture(scope="module")
def client(
    proxy_name: str, manager_with_key: ManagerProgram, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the proxy."""
    directory = tmp_path_factory.mktemp("proxy") / "one"
    with (
        proxy(proxy_name, directory, manager_with_key.port) as url,
        httpx.Client(base_url=url, timeout=ANSWER_SECONDS) as client,
    ):
        until(lambda: client.get("/readyz").is_success, wanted="a ready manager behind the proxy")
        yield client


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PUT", "/enqueue?iterations=1", KEY, 413),
        ("PUT", "/enqueue?iterations=0", KEY, 400),
        ("PUT", "/enqueue?iterations=1", {}, 401),
        ("PUT", "/enqueue?iterations=1", {"Authorization": "Bearer wrong"}, 401),
        ("PUT", "/nowhere", KEY, 404),
        ("PATCH", "/jobs", KEY, 405),
        ("POST", "/jobs", KEY | {"Content-Type": "text/xml"}, 415),
        ("POST", "/jobs", KEY | {"Content-Type": "application/json"}, 413),
    ],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_refusal_arrives_although_its_body_is_large(
    client: httpx.Client, method: str, path: str, headers: dict[str, str], status: int, chunked: bool
) -> None:
    for _ in range(TRIES):
        content = (LARGE[start : start + 100_000] for start in range(0, len(LARGE), 100_000)) if chunked else LARGE
        # Each time on a new connection: an unbuffered nginx closes it after a refusal without saying so.
        answer = httpx.request(
            method, client.base_url.join(path), content=content, headers=headers, timeout=ANSWER_SECONDS
        )
        assert answer.status_code == status, answer.text
        assert answer.json()["status"] == status


def test_jobs_and_results_pass(client: httpx.Client, server: ValkeyServer) -> None:
    work_id = client.put("/enqueue?iterations=1", content=b"x", headers=KEY).json()["Work ID"]
    answer = client.post("/jobs", json={"function": "noop"}, headers=KEY)
    assert answer.headers["Location"] == f"/jobs/{answer.json()['id']}"
    assert client.get(answer.headers["Location"], headers=KEY).json()["status"] == "queued"
    Worker(server.url).finish_all()
    pulled = client.post("/pullCompleted?top=10&wait=5", headers=KEY).json()
    assert {entry["Work ID"] for entry in pulled} == {work_id, answer.json()["id"]}


def test_results_that_a_client_behind_a_proxy_did_not_wait_for_go_to_the_next(
    client: httpx.Client, proxy_name: str, server: ValkeyServer
) -> None:
    # HAProxy waits for the answers of clients that are gone, and takes them. docs/http.md tells to pull with a lease.
    lease = "&lease=1" if proxy_name == "haproxy" else ""
    ids = {client.put("/enqueue?iterations=1", content=b"x", headers=KEY).json()["Work ID"] for _ in range(5)}
    request = (
        f"POST /pullCompleted?top=5&wait=20{lease} HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY['Authorization']}\r\n\r\n"
    )
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as gone:
        gone.sendall(request.encode())
    Worker(server.url).finish_all()
    pulled: set[str] = set()

    def all_pulled() -> bool:
        answer = client.post("/pullCompleted?top=5&wait=1", headers=KEY)
        pulled.update(entry["Work ID"] for entry in answer.json())
        return pulled == ids

    until(all_pulled, wanted=f"{ids}")


@pytest.mark.parametrize("name", ["nginx, prefix kept", "nginx, prefix removed"])
def test_links_are_right_below_a_path_prefix(name: str, start: Start, tmp_path: Path) -> None:
    if not find("nginx"):
        pytest.skip("nginx is not installed")
    manager = start("--root-path", "/queue")
    with (
        proxy(name, tmp_path / "proxy", manager.port) as url,
        httpx.Client(base_url=url, timeout=ANSWER_SECONDS) as client,
    ):
        answer = client.post("/queue/jobs", json={"function": "noop"})
        assert answer.headers["Location"] == f"/queue/jobs/{answer.json()['id']}"
        assert client.get(answer.headers["Location"]).json()["status"] == "queued"
        document = client.get("/queue/openapi.json").json()
        assert document["servers"] == [{"url": "/queue"}]
        page = client.get("/queue/docs").text
        for link in ("docs/swagger-ui.css", "docs/swagger-ui.js", "docs/page.js"):
            assert f'"{link}"' in page
            assert client.get(f"/queue/{link}").is_success
