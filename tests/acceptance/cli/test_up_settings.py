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


@pytest.mark.parametrize("by", ["environment", "settings file"])
@pytest.mark.parametrize(
    ("setting", "text", "message"),
    [
        ("redis_url_file", "http://127.0.0.1:1", "WORKMANAGER_REDIS_URL: "),
        ("redis_url_file", "\n", "WORKMANAGER_REDIS_URL is empty"),
        ("redis_url_file", "redis://manager:hush@127.0.0.1:1", "WORKMANAGER_WORKER_REDIS_URL: set it to a URL"),
        ("redis_url_file", None, "WORKMANAGER_REDIS_URL_FILE: the file cannot be read: No such file"),
        ("worker_redis_url_file", "redis://127.0.0.1:1", "WORKMANAGER_WORKER_REDIS_URL belongs to an existing"),
        ("cluster_url_file", "redis://127.0.0.1:1", "WORKMANAGER_CLUSTER_URL belongs to an existing Redis"),
    ],
)
def test_a_url_in_a_file_is_never_answered_with_the_embedded_server(
    by: str, setting: str, text: str | None, message: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "url").write_text(text)
    (tmp_path / "settings.yaml").write_text(f"{setting}: {tmp_path / 'url'}\n")
    given = {"CONFIG": str(tmp_path / "settings.yaml")}
    if by == "environment":
        given = {setting.upper(): str(tmp_path / "url")}
    data = tmp_path / "data"
    environ = {**environment(**given), "HOME": str(tmp_path), "XDG_DATA_HOME": str(data)}
    command = [sys.executable, "-m", "workmanager", "up", "--port", str(pick_port(consecutive=2))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert message in ended.stderr
    assert "hush" not in ended.stderr
    assert not data.exists()
