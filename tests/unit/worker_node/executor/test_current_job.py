"""`rq.get_current_job()` in a job, with an agent that answers from a dictionary."""

import copy
import json
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from worker_node.executor.agent_client import AgentClient
from worker_node.executor.current_job import CurrentJob
from worker_node.ipc.frames import FrameReader, new_key
from worker_node.ipc.protocol import MAX_META_BYTES, MAX_QUERY_BYTES, pack
from worker_node.slots.reports import read_query


class FakeAgent:
    """Answers queries about one job."""

    def __init__(self) -> None:
        self.record: dict[bytes, bytes] = {
            b"data": b'["f", null, [], {}]',
            b"status": b"started",
            b"origin": b"q",
            b"meta": b'{"old": 1}',
        }
        self.operations: list[str] = []
        self._connection, self._executor = socket.socketpair()
        key = new_key()
        self._reader = FrameReader(MAX_QUERY_BYTES)
        self._reader.use_key(key)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.client = AgentClient(self._executor, key)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def meta(self) -> Any:
        """The meta that is stored."""
        return json.loads(self.record[b"meta"])

    def close(self) -> None:
        """Stop answering."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()
        self._executor.close()

    def _serve(self) -> None:
        while data := self._connection.recv(1 << 16):
            for payload in self._reader.feed(data):
                assert payload is not None
                number, _, operation, field, value = read_query(payload)
                self.operations.append(operation)
                if operation == "hset":
                    self.record[field.encode()] = value
                content = {"hgetall": self.record, "hget": self.record.get(field.encode())}.get(operation)
                self.may_answer.wait()
                self._connection.sendall(pack([number, True, content]))


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    agent = FakeAgent()
    yield agent
    agent.close()


@pytest.fixture
def job(agent: FakeAgent) -> Any:
    return CurrentJob(agent.client, 1, "id", pickled=False)


def test_meta_that_is_assigned_before_anything_is_read_is_saved(agent: FakeAgent, job: Any) -> None:
    job.meta = {"p": 42}
    job.save_meta()
    assert agent.meta == {"p": 42}
    assert (job.meta, job.get_meta(), job.origin) == ({"p": 42}, {"p": 42}, "q")


def test_meta_that_is_assigned_after_a_read_is_saved(agent: FakeAgent, job: Any) -> None:
    assert job.meta == {"old": 1}
    job.meta = {"p": 42}
    job.save_meta()
    assert agent.meta == {"p": 42}


def test_meta_that_is_changed_in_place_is_saved(agent: FakeAgent, job: Any) -> None:
    job.meta["p"] = 42
    job.save_meta()
    assert agent.meta == {"old": 1, "p": 42}


def test_refresh_reads_meta_again_as_under_a_plain_rq_worker(agent: FakeAgent, job: Any) -> None:
    job.meta = {"p": 42}
    job.refresh()
    assert job.meta == {"old": 1}


def test_other_assigned_attributes_are_kept_too(job: Any) -> None:
    job.description, job.custom = "mine", 1
    assert (job.origin, job.description, job.custom) == ("q", "mine", 1)


@pytest.mark.parametrize("read_first", [False, True])
def test_a_copy_of_the_job_works_like_the_job(agent: FakeAgent, job: Any, read_first: bool) -> None:
    if read_first:
        assert job.origin == "q"
    twin = copy.copy(job)
    twin.meta = {"from": "twin"}
    twin.save_meta()
    assert (twin == job, twin.id, twin.origin, twin.get_status().value) == (True, "id", "q", "started")
    assert agent.meta == {"from": "twin"}
    assert copy.copy(job.connection) is not job.connection


def test_a_copy_that_was_made_before_a_read_does_not_share_later_assignments(job: Any) -> None:
    twin = copy.copy(job)
    job.meta = {"mine": 1}
    assert twin.meta == {"old": 1}


def test_an_attribute_that_jobs_do_not_have_is_missing(job: Any) -> None:
    assert not hasattr(job, "nonsense")
    assert not hasattr(job, "__nonsense__")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = job.nonsense


def test_assigning_costs_no_query(agent: FakeAgent, job: Any) -> None:
    job.meta = {}
    assert (job.id, agent.operations) == ("id", [])


def test_threads_that_read_while_the_job_is_loaded_see_all_of_it(job: Any) -> None:
    seen: list[tuple[str, Any]] = []
    threads = [threading.Thread(target=lambda: seen.append((job.origin, job.meta))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [("q", {"old": 1})] * 8


def test_a_query_that_the_jobs_own_alarm_interrupts_does_not_disturb_the_next(agent: FakeAgent) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the job's own")

    agent.may_answer.clear()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(TimeoutError, match="the job's own"):
            agent.client.query(1, "hget", "status", b"")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    agent.may_answer.set()
    assert agent.client.query(1, "hget", "origin", b"") == b"q", "and not the answer to the first query"


def test_a_meta_that_is_too_large_is_refused_before_it_is_sent(agent: FakeAgent) -> None:
    job = CurrentJob(agent.client, 1, "a", pickled=False)
    job.meta["text"] = "x" * MAX_META_BYTES
    with pytest.raises(ValueError, match="the maximum is 1048576"):
        job.save_meta()
    assert "hset" not in agent.operations
