"""Secrets of a whole `workmanager up` are seen by nobody else, and no job disturbs its programs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests import another_user
from tests.processes import running_in
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client
from workmanager.local.valkey import ValkeyServer

PASSWORD = "hush7531"
KEY = "hush-key-of-an-operator"
SECRETS = {
    "WORKMANAGER_API_KEYS": KEY,
    "AWS_ACCESS_KEY_ID": "hush-aws-id",
    "AWS_SECRET_ACCESS_KEY": "hush-aws-key",
    "AWS_SESSION_TOKEN": "hush-aws-token",
    "https_proxy": "http://me:hush@proxy.invalid",
    "GITHUB_TOKEN": "hush-token",
}
JOBS = "probing_jobs"
GET_ROUTES = (
    *("/", "/healthz", "/readyz", "/metrics", "/status", "/workers", "/queues", "/jobs", "/scaler", "/keys", "/audit"),
    *("/docs", "/openapi.json", "/nothing"),
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    """The system, not started yet."""
    run = WorkmanagerUp(tmp_path / "run")
    yield run
    run.kill_all()


def test_secrets_are_nowhere_and_no_job_disturbs_the_programs(up: WorkmanagerUp, private_server: ValkeyServer) -> None:
    private_server.command("CONFIG", "SET", "requirepass", PASSWORD)
    store = redis.Redis(port=private_server.port, password=PASSWORD)
    up.start(
        *("--max-workers", "1"),
        environ={
            **SECRETS,
            "WORKMANAGER_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{private_server.port}",
            "WORKMANAGER_CLUSTER_URL": f"redis://administrator:{PASSWORD}@127.0.0.1:{private_server.port}",
            "WORKMANAGER_FUNCTIONS": JOBS,
            "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(Path.cwd()))),
        },
        prefix=another_user.PREFIX if another_user.IS_POSSIBLE else (),
    )
    up.wait_until_ready()
    answers: list[str] = []
    with Client(up.urls, KEY) as client:
        assert _ended(client, "noop")["status"] == "finished"
        assert _ended(client, f"{JOBS}.fail", text="this one fails")["status"] == "failed"
        if os.geteuid() != 0 or another_user.IS_POSSIBLE:  # Nothing hides from root.
            # Put together there, so that the text itself is in no command line and no record.
            assert _ended(client, f"{JOBS}.look_around", start="hu", end="sh")["result"] == []

        processes = running_in(up.directory)
        assert all(_runs(name, processes) for name in ("up", "manager", "worker_node", "worker_node.executor")), (
            processes
        )
        programs = [line for line in processes if not _runs("worker_node.executor", [line])]
        spoiled = _ended(client, f"{JOBS}.spoil_descriptors")
        assert spoiled["status"] == "failed", spoiled
        assert _ended(client, "noop")["status"] == "finished"
        now = running_in(up.directory)
        assert [line for line in programs if line not in now] == [], "a program has ended"
        assert [line for line in now if "hush" in line] == []

        answers += _answers(up, client)
        store.config_set("requirepass", "another")
        store.client_kill_filter(_type="normal", skipme=True)
        until(lambda: httpx.get(f"{up.urls[0]}/readyz").status_code == 503, wanted="the outage")
        answers += _answers(up, client)
        store.config_set("requirepass", PASSWORD)
        until(lambda: httpx.get(f"{up.urls[0]}/readyz").is_success, wanted="the end of the outage")
        assert _ended(client, "noop")["status"] == "finished"
    assert up.stop() == 0
    answers += [repr(_content(store, key)) for key in store.scan_iter()]
    assert [text for text in answers if "hush" in text] == []
    log = up.log.read_text()
    assert "hush" not in log
    assert "event=program_exited" not in log


def _ended(client: Client, function: str, **arguments: Any) -> dict[str, Any]:
    return client.job(client.submit(function, kwargs=arguments), wait_seconds=50)


def _answers(up: WorkmanagerUp, client: Client) -> list[str]:
    found = []
    for headers in ({"Authorization": f"Bearer {KEY}"}, {"Authorization": "Bearer hu"}, {}):
        with httpx.Client(base_url=up.urls[0], headers=headers) as http:
            answers = [http.get(path) for path in GET_ROUTES]
            answers += [http.post("/jobs", json={"function": "nothing"}), http.post("/jobs", content=b"{")]
            answers += [http.post("/pullCompleted?top=0"), http.post("/keys", json={})]
        found += [f"{each.request.url.path} {each.headers} {each.text}" for each in answers]
    return found


def _content(store: redis.Redis, key: bytes) -> tuple[bytes, Any]:
    read: Any = {
        b"string": store.get,
        b"hash": store.hgetall,
        b"set": store.smembers,
        b"list": lambda key: store.lrange(key, 0, -1),
        b"zset": lambda key: store.zrange(key, 0, -1),
        b"stream": store.xrange,
    }[store.type(key)]
    return key, read(key)


def _runs(program: str, processes: list[str]) -> bool:
    return any(program in line.split() for line in processes)
