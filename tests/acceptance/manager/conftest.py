"""Fixtures: running managers, and a simulated worker for tests that need results."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.finish import Failed, Finished, Outcome, finish
from jobqueue.lifecycle.notes import JobNotes, save_notes
from jobqueue.model import FailureReason
from jobqueue.sharding.shards import Shards
from tests.acceptance.manager.keyed_managers import OPERATOR, as_
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

Start = Callable[..., ManagerProgram]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts managers. Kill them afterwards and check that none logged a traceback."""
    programs: list[ManagerProgram] = []

    def start_one(redis_url: str, *arguments: str, **settings: str) -> ManagerProgram:
        programs.append(ManagerProgram(tmp_path / "managers", redis_url, arguments, **settings))
        return programs[-1]

    yield start_one
    for program in programs:
        program.kill()
    for program in programs:
        assert "Traceback" not in program.log


@pytest.fixture(scope="module")
def _shared_manager(shared_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagerProgram]:
    program = ManagerProgram(tmp_path_factory.mktemp("manager"), shared_server.url).wait_until_ready()
    yield program
    program.kill()


@pytest.fixture
def manager(_shared_manager: ManagerProgram, redis_url: str) -> Iterator[ManagerProgram]:
    """A manager on the shared server, for all tests of a module that neither stop it nor read what it counts.

    Its start takes longer than most tests. What it knows of the queue is in Redis, which is emptied for each test.
    """
    yield _shared_manager
    assert "Traceback" not in _shared_manager.log


@pytest.fixture
def http(manager: ManagerProgram) -> Iterator[httpx.Client]:
    """A client of the manager."""
    with manager.client() as client:
        yield client


@pytest.fixture(scope="session")
def managers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ManagerProgram, ManagerProgram]]:
    """Two managers with an operator's key, for all tests: each uses keys and queues of its own."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"), settings={"appendfsync": "no"})
    server.start()
    directory = tmp_path_factory.mktemp("managers")
    one, other = (ManagerProgram(directory, server.url, API_KEYS=OPERATOR) for _ in range(2))
    yield one.wait_until_ready(), other.wait_until_ready()
    for program in (one, other, server):
        program.kill()
    assert "Traceback" not in one.log + other.log


@pytest.fixture
def redis_of_managers(managers: tuple[ManagerProgram, ManagerProgram]) -> str:
    """URL of the Redis of `managers`."""
    return managers[0].redis_url


@pytest.fixture
def first(managers: tuple[ManagerProgram, ManagerProgram]) -> ManagerProgram:
    return managers[0]


@pytest.fixture
def operator(first: ManagerProgram) -> Iterator[httpx.Client]:
    with as_(first, OPERATOR) as client:
        yield client


HEADER = "Traceback (most recent call last):"


class Worker:
    """Does a worker agent's operations on the queue, one at a time."""

    name = "tests-worker"

    def __init__(self, redis_url: str, queue: str = "default") -> None:
        self._redis_url = redis_url
        self._queue = queue
        self._claimed: list[ClaimedJob] = []

    def finish_all(self, value: Any = "done") -> int:
        """Claim every queued job and record `value` as its result; return their number."""
        return asyncio.run(self._end_all(lambda job: Finished(job, "noop", 0.01, _encoded(value))))

    def finish_waiting(self) -> int:
        """As `finish_all`, of the jobs that are queued now: not those that the ends of these let run."""
        return asyncio.run(self._end_all(lambda job: Finished(job, "noop", 0.01, _encoded("done")), once=True))

    def fail_all(self, traceback: str = f"{HEADER}\nValueError: no") -> int:
        """Claim every queued job and record its failure; return their number."""
        return asyncio.run(self._end_all(lambda job: Failed(job, "noop", 0.01, FailureReason.EXCEPTION, traceback)))

    def claim(self, lease_seconds: float = 60) -> int:
        """Claim every queued job without running it; return their number."""
        return asyncio.run(self._end_all(None, lease_seconds=lease_seconds))

    def tell(self, progress: str = "", *lines: str) -> None:
        """Save what every job that was claimed last tells of itself: `progress` as JSON, and lines of its log."""
        asyncio.run(self._tell(progress, lines))

    async def _tell(self, progress: str, lines: Sequence[str]) -> None:
        shards = await Shards.connect(self._redis_url)
        try:
            for job in self._claimed:
                notes = JobNotes(job, progress, [(1000, "log", text) for text in lines])
                await save_notes(shards.of(job.id), [notes])
        finally:
            await shards.close()

    async def _end_all(
        self, outcome_of: Callable[[Any], Outcome] | None, *, once: bool = False, lease_seconds: float = 60
    ) -> int:
        shards = await Shards.connect(self._redis_url)
        count, self._claimed = 0, []
        try:
            for shard in shards:
                while jobs := await claim(shard, self.name, [self._queue], 500, lease_seconds=lease_seconds):
                    count += len(jobs)
                    self._claimed += jobs
                    if outcome_of is not None:
                        await finish(shard, self.name, [outcome_of(job) for job in jobs])
                    if once:
                        break
        finally:
            await shards.close()
        return count


def _encoded(value: Any) -> bytes:
    return base64.b64encode(json.dumps(value).encode())


@pytest.fixture
def worker(redis_url: str) -> Worker:
    """A worker on the shared server."""
    return Worker(redis_url)


def calls(server: ValkeyServer, command: str) -> int:
    """Return how often the server has run a command since its statistics were reset."""
    return int(server.command("INFO", "commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))
