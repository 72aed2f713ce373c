"""A crowd of clients that do nothing costs others little, and does not keep them out."""

import resource
import socket

import pytest

from tests.acceptance.http.conftest import Start
from tests.acceptance.http.crowd import IDLE, SLOW, crowd, load, memory_mebibytes
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until

MAX_MEBIBYTES = 200


def test_a_crowd_takes_little_memory_and_others_are_served(start: Start) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < IDLE + SLOW + 1000:
        pytest.skip("the limit of open files is too low (ulimit -Hn)")
    manager = start(ACCESS_LOG="false")
    load(manager.port, 1.0)
    before = memory_mebibytes(manager.process.pid)
    with crowd(manager.port) as held:
        answers = load(manager.port, 2.0).answers
        assert answers > 1000
        assert memory_mebibytes(manager.process.pid) - before < MAX_MEBIBYTES
        assert len(held) == IDLE + SLOW


def test_a_crowd_beyond_the_limit_keeps_nobody_out(start: Start) -> None:
    manager = start(MAX_CONNECTIONS="300", ACCESS_LOG="false")
    with crowd(manager.port, idle=400, slow=200):
        assert load(manager.port, 1.0).answers > 500
        with manager.client() as client:
            assert client.get("/readyz").is_success


def test_few_open_files_are_fewer_connections_and_keep_nobody_out(start: Start) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, limits[1]))
    try:
        manager = start(MAX_CONNECTIONS="200", ACCESS_LOG="false")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert _descriptor_limit(manager) >= 200
    with crowd(manager.port, idle=420, slow=0):
        assert load(manager.port, 1.0).answers > 500


def test_connections_are_probed_so_that_lost_clients_are_noticed(manager: ManagerProgram) -> None:
    with socket.create_connection(("127.0.0.1", manager.port)) as connection:
        port = connection.getsockname()[1]
        entry = until(lambda: _timer_of(manager.port, port), wanted="the connection")
        # 02 is the timer of TCP keep-alive; see proc_net_tcp.txt of the kernel.
        assert entry == "02"


def _timer_of(local_port: int, remote_port: int) -> str:
    with open("/proc/net/tcp") as table:
        for line in table:
            _, local, remote, _, _, timer, *_ = line.split()
            if local.endswith(f":{local_port:04X}") and remote.endswith(f":{remote_port:04X}"):
                return timer.partition(":")[0]
    return ""


def _descriptor_limit(manager: ManagerProgram) -> int:
    return resource.prlimit(manager.process.pid, resource.RLIMIT_NOFILE)[0]
