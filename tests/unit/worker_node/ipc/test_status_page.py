"""The pages of memory that agent and executor share."""

import fcntl
import mmap
import os
import sys
from collections.abc import Iterator

import pytest

from worker_node.ipc.status_page import StatusPage, WithdrawalPage

Pages = tuple[StatusPage, StatusPage]


@pytest.fixture
def pages() -> Iterator[Pages]:
    """The agent's view of a status page, and the executor's."""
    agent = StatusPage.create()
    executor = StatusPage(os.dup(agent.fd))
    yield agent, executor
    agent.close()
    executor.close()


def test_the_agent_sees_the_running_task(pages: Pages) -> None:
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


def test_the_agent_sees_the_version_of_the_running_tasks_function(pages: Pages) -> None:
    agent, executor = pages
    executor.set_running_task(5, 1_000)
    assert agent.version == ""
    executor.set_version(b"0123456789ab")
    assert agent.version == "0123456789ab"
    executor.set_running_task(6, 2_000)
    assert agent.version == ""


def test_a_half_written_task_start_counts_as_started_now(pages: Pages) -> None:
    agent, executor = pages
    executor.set_running_task(sequence=5, now_ns=1_000)
    os.pwrite(agent.fd, (6).to_bytes(8, "little"), 0)
    assert agent.running_task(now_ns=9_000) == (6, 9_000)


def test_the_agent_never_sees_a_task_that_was_not_started(pages: Pages) -> None:
    agent, executor = pages
    executor.set_running_task(1, 1)
    child = os.fork()
    if child == 0:
        for sequence in range(2, 300_000):
            executor.set_running_task(sequence, sequence)
        os._exit(0)
    last = 1
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        for _ in range(1000):
            sequence, started_ns = agent.running_task(now_ns=7)
            assert sequence >= last
            assert started_ns in (sequence, 7)
            last = sequence
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_function_that_a_job_has_spoiled_is_read_as_text(pages: Pages) -> None:
    agent, _ = pages
    os.pwrite(agent.fd, b"\xff" * mmap.PAGESIZE, 0)
    assert agent.function == "\ufffd" * 200
    assert agent.resident_bytes == (1 << 64) - 1


def test_all_tasks_up_to_a_number_are_withdrawn() -> None:
    agent = WithdrawalPage.create()
    executor = WithdrawalPage.open(os.dup(agent.fd))
    assert not executor.is_withdrawn(1)
    agent.withdraw(up_to=5)
    assert [executor.is_withdrawn(sequence) for sequence in (1, 5, 6)] == [True, True, False]
    agent.close()
    executor.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not seal memory")
def test_no_page_can_be_shrunk_under_the_agent() -> None:
    for page in (StatusPage.create(), WithdrawalPage.create()):
        with pytest.raises(PermissionError):
            os.ftruncate(page.fd, 0)
        with pytest.raises(PermissionError):
            fcntl.fcntl(page.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        page.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not seal memory")
def test_a_job_cannot_write_to_the_agents_page() -> None:
    page = WithdrawalPage.create()
    path = f"/proc/self/fd/{page.fd}"
    with pytest.raises(PermissionError):
        os.pwrite(page.fd, b"x", 0)
    with pytest.raises(PermissionError):
        mmap.mmap(page.fd, mmap.PAGESIZE)
    with open(path, "r+b", buffering=0) as file, pytest.raises(PermissionError):
        file.write(b"x")
    page.withdraw(up_to=2)
    page.close()
