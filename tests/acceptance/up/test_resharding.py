"""A shard of a whole system is moved to another master and back, while clients submit and pull jobs over HTTP."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
from redis.crc import key_slot

from tests.acceptance.sha512 import sha512
from tests.slot_moves import move_at_once, move_by_keys, owner_of
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client
from workmanager.errors import WorkManagerError
from workmanager.local.valkey import ValkeyServer

pytestmark = pytest.mark.timeout(600)
SHARD = "{rq:0}"
SLOT = key_slot(SHARD.encode())
SUBMITTERS = 3


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    run = WorkmanagerUp(tmp_path / "run")
    run.start("--cluster", "--max-workers", "2")
    run.wait_until_ready()
    yield run
    run.kill_all()


class _RunningServer(ValkeyServer):
    """A server that somebody else has started."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = int((directory / "port").read_text())


@dataclass
class HttpLoad:
    """Clients that submit jobs and pull their values.

    Attributes:
        expected: the value of each acknowledged job, by id.
        pulled: the values that came back, by id, each as often as it was delivered.
        errors: of the threads.
    """

    urls: list[str]
    expected: dict[str, str] = field(default_factory=dict)
    pulled: dict[str, list[str]] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def submit(self, submitter: int) -> None:
        with Client(self.urls, retry_seconds=60) as client:
            for number in itertools.count():
                if self.stopping.is_set():
                    return
                # With an id, so that a job cannot change its shard.
                data, job_id = f"{submitter}-{number}".encode(), f"job-{submitter}-{number}"
                client.enqueue(data, iterations=2, job_id=job_id)
                self.expected[job_id] = sha512(data, 2)

    def pull(self) -> None:
        with Client(self.urls, retry_seconds=60) as client:
            while not self.stopping.is_set() or self.pulled.keys() < self.expected.keys():
                results = client.pull(top=100, lease_seconds=30, wait_seconds=1)
                client.ack(result.id for result in results)
                for result in results:
                    self.pulled.setdefault(result.id, []).append(result.value)

    def guarded(self, run: "partial[None]") -> None:
        try:
            run()
        except WorkManagerError as error:
            self.errors.append(error)
            self.stopping.set()


@contextmanager
def _running_load(urls: list[str]) -> Iterator[HttpLoad]:
    load = HttpLoad(urls)
    runs = [partial(load.submit, number) for number in range(SUBMITTERS)] + [partial(load.pull)]
    threads = [threading.Thread(target=load.guarded, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for thread in threads:
            thread.join()


def test_every_job_runs_and_each_value_is_pulled_once_while_a_shard_is_moved(up: WorkmanagerUp) -> None:
    servers = [_RunningServer(up.directory / f"data/cluster/{number}") for number in range(6)]
    until(lambda: _cluster_is_healthy(up), wanted="a healthy cluster")
    source = owner_of(servers, SLOT)
    target = next(
        server for server in servers if server.command("ROLE")[0] == "master" and server not in (source, servers[5])
    )
    with _running_load(up.urls) as load:
        until(lambda: len(load.pulled) > 50)
        for move in (partial(move_by_keys, pause_seconds=0.05), move_at_once):
            for destination in (target, source):
                moving = threading.Thread(target=move, args=(servers, SLOT, destination))
                moving.start()
                if move is not move_at_once:
                    _check_that_it_is_told(up.urls[0])
                moving.join()
                submitted = len(load.expected)
                until(lambda: len(load.expected) > submitted + 50, wanted="jobs after the move")  # noqa: B023 - at once
    assert load.errors == []
    assert {job_id: values for job_id, values in load.pulled.items() if values != [load.expected[job_id]]} == {}
    assert load.pulled.keys() == load.expected.keys()
    log = up.log.read_text()
    assert "event=shard_move_began" in log
    assert "event=shard_move_ended" in log
    assert _cluster_is_healthy(up)
    assert up.stop() == 0


def _check_that_it_is_told(url: str) -> None:
    shown = until(lambda: httpx.get(f"{url}/readyz").json().get("moving_shards"), wanted="a move in /readyz")
    assert list(shown) == [SHARD]
    assert "workmanager_shards_moving 1.0" in httpx.get(f"{url}/metrics").text
    problems = httpx.get(f"{url}/status").json()["problems"]
    assert problems[0].startswith(f"shard {SHARD} is being moved to another Redis server, ")
    time.sleep(0.5)
    assert httpx.get(f"{url}/readyz").json()["moving_shards"][SHARD] > 0.4


def _cluster_is_healthy(up: WorkmanagerUp) -> bool:
    cluster = httpx.get(f"{up.urls[0]}/readyz", timeout=10).json().get("cluster")
    return isinstance(cluster, dict) and not any(value for name, value in cluster.items() if name != "members")
