"""`workmanager up` refuses what its managers or workers would refuse, in one line, before it starts anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.manager.manager_program import environment
from tests.ports import pick_port


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MIN_WORKERS", "5", "WORKMANAGER_MIN_WORKERS: 5 is more than WORKMANAGER_MAX_WORKERS (2)"),
        ("ISOLATION", "sometimes", "WORKMANAGER_ISOLATION: Input should be 'none' or 'job' (got 'sometimes')"),
    ],
)
def test_a_wrong_setting_of_managers_or_workers_is_one_line(
    name: str, value: str, message: str, tmp_path: Path
) -> None:
    port = pick_port(consecutive=2)
    command = [sys.executable, "-m", "workmanager", "up", "--port", str(port), "--max-workers", "2"]
    environ = {**environment(**{name: value}), "HOME": os.environ.get("HOME", "/")}
    ended = subprocess.run(
        [*command, "--data-dir", str(tmp_path)], capture_output=True, text=True, timeout=60, env=environ, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"workmanager: {message}\n")
    assert not list(tmp_path.iterdir())
