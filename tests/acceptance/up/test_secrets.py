"""`workmanager up` with a Redis that has a password: nobody else on the machine sees it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import running_in
from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client
from workmanager.local.valkey import ValkeyServer

PASSWORD = "hush7531"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    """The system, not started yet."""
    run = WorkmanagerUp(tmp_path / "run")
    yield run
    run.kill_all()


def test_the_password_of_redis_is_on_no_command_line_and_in_no_log(
    up: WorkmanagerUp, private_server: ValkeyServer
) -> None:
    private_server.command("CONFIG", "SET", "requirepass", PASSWORD)
    url = f"redis://:{PASSWORD}@127.0.0.1:{private_server.port}"
    up.start("--max-workers", "1", environ={"WORKMANAGER_REDIS_URL": url})
    up.wait_until_ready()
    with Client(up.urls) as client:
        assert client.job(client.submit("noop"), wait_seconds=50)["status"] == "finished"
    processes = running_in(up.directory)
    assert all(_runs(name, processes) for name in ("up", "manager", "worker_node", "worker_node.executor")), processes
    assert [line for line in processes if PASSWORD in line] == []
    assert up.stop() == 0
    assert PASSWORD not in up.log.read_text()


def _runs(program: str, processes: list[str]) -> bool:
    return any(program in line.split() for line in processes)
