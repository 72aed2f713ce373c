"""Frames, and the status page that agent and executor share."""

import os
import threading
from collections.abc import Iterator

import pytest

from tests.unit.worker_node.ipc.conftest import SocketPair
from worker_node.ipc.protocol import SharedStatus, Task, pack, read_frame, unpack

StatusPages = tuple[SharedStatus, SharedStatus]


@pytest.fixture
def pages() -> Iterator[StatusPages]:
    """The agent's view of a status page, and the executor's."""
    agent = SharedStatus.create()
    executor = SharedStatus(os.dup(agent.fd))
    yield agent, executor
    agent.close()
    executor.close()


def test_tasks_are_the_same_after_the_transfer(sockets: SocketPair) -> None:
    tasks = [
        Task(sequence=1, job_id="a", data=b"\x00\xff" * 300_000, from_http=True, unsupported=None),
        Task(sequence=2, job_id="b", data=b"", from_http=False, unsupported="webhooks"),
    ]
    sender = threading.Thread(target=sockets[0].sendall, args=(pack(tasks),))
    sender.start()
    received = read_frame(sockets[1])
    sender.join()
    assert received is not None
    assert [Task(*fields) for fields in received] == tasks


def test_the_end_of_the_stream_is_not_a_frame(sockets: SocketPair) -> None:
    sockets[0].sendall(pack([1])[:-1])
    sockets[0].close()
    assert read_frame(sockets[1]) is None


def test_a_frame_holds_a_list() -> None:
    with pytest.raises(ValueError, match="a frame holds a list, not int"):
        unpack(b"\x01")


def test_the_agent_sees_the_running_task(pages: StatusPages) -> None:
    agent, executor = pages
    assert agent.running_task(now_ns=7) == (0, 0)
    executor.set_running_task(sequence=5, now_ns=1_000)
    assert (agent.running_task(now_ns=7), agent.function) == ((5, 1_000), "")
    executor.set_function("größe.function".encode())
    assert agent.function == "größe.function"
    executor.set_function(b"x" * 1_000)
    assert agent.function == "x" * 200
    executor.set_running_task(sequence=6, now_ns=2_000)
    assert (agent.running_task(now_ns=7), agent.function) == ((6, 2_000), "")


def test_a_half_written_task_start_counts_as_started_now(pages: StatusPages) -> None:
    agent, executor = pages
    executor.set_running_task(sequence=5, now_ns=1_000)
    os.pwrite(agent.fd, (6).to_bytes(8, "little"), 0)
    assert agent.running_task(now_ns=9_000) == (6, 9_000)


def test_withdrawn_tasks_are_a_range(pages: StatusPages) -> None:
    agent, executor = pages
    assert not executor.is_withdrawn(1)
    agent.withdraw(above=3, up_to=5)
    assert [executor.is_withdrawn(sequence) for sequence in (3, 4, 5, 6)] == [False, True, True, False]
