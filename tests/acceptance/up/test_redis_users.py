"""`workmanager up` on an existing Redis with a user for each role, whose URLs stand in files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_users import create_users, url
from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client
from workmanager.local.valkey import ValkeyServer

pytestmark = pytest.mark.timeout(300)
ROLES = {"REDIS_URL": "manager", "CLUSTER_URL": "administrator", "WORKER_REDIS_URL": "worker"}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    """The system, not started yet."""
    run = WorkmanagerUp(tmp_path / "run")
    yield run
    run.kill_all()


def test_jobs_run_on_workers_with_a_user_of_their_own(
    up: WorkmanagerUp, private_server: ValkeyServer, tmp_path: Path
) -> None:
    create_users(private_server)
    environ = {}
    for name, role in ROLES.items():
        (tmp_path / name).write_text(url(private_server, role) + "\n")
        environ[f"WORKMANAGER_{name}_FILE"] = str(tmp_path / name)
    up.start("--max-workers", "1", environ=environ)
    up.wait_until_ready()
    with Client(up.urls) as client:
        job = client.job(client.submit("noop"), wait_seconds=50)
    assert (job["status"], job["attempts"]) == ("finished", 1)
    assert private_server.command("KEYS", "rq:job:*")
    assert up.stop() == 0
