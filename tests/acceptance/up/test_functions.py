"""A developer's own functions under `workmanager up`: edited, added and broken while it runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    """The system, not started yet."""
    run = WorkmanagerUp(tmp_path / "run")
    yield run
    run.kill_all()


def _start(up: WorkmanagerUp, source: str) -> Path:
    module = up.directory / "texts.py"
    module.write_text(source)
    search_path = os.pathsep.join((str(up.directory), str(ROOT)))
    up.start("--max-workers", "2", environ={"PYTHONPATH": search_path, "WORKMANAGER_FUNCTIONS": "texts"})
    up.wait_until_ready()
    return module


def _run(client: Client, function: str) -> object:
    job_id = client.submit(function)
    job = client.job(job_id, wait_seconds=50)
    assert job["status"] == "finished", job
    return job["result"]


def test_edited_and_added_functions_count_for_the_next_job(up: WorkmanagerUp) -> None:
    module = _start(up, "def call():\n    return 1\n")
    with Client(up.urls) as client:
        assert [_run(client, "texts.call") for _ in range(3)] == [1, 1, 1]
        module.write_text("def call():\n    return 2\n")
        assert [_run(client, "texts.call") for _ in range(3)] == [2, 2, 2]
        module.write_text("def call():\n    return 3\ndef added():\n    return 'new'\n")
        assert (_run(client, "texts.added"), _run(client, "texts.call")) == ("new", 3)


def test_a_broken_module_stops_its_own_jobs_alone_and_submit_says_why(up: WorkmanagerUp) -> None:
    module = _start(up, "def call(:\n")
    with Client(up.urls) as client:
        assert client.job(client.submit("noop"), wait_seconds=50)["status"] == "finished"
        command = [sys.executable, "-m", "workmanager", "submit", "--function", "texts.call", "--wait"]
        done = subprocess.run(
            [*command, "--url", up.urls[0]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode != 0
        assert "texts.py, line 1" in done.stderr
        assert "texts.py, line 1" in str(client.status()["problems"])
        module.write_text("def call():\n    return 4\n")
        assert _run(client, "texts.call") == 4
        assert "texts.py" not in str(client.status()["problems"])
