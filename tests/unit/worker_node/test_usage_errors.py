"""Wrong settings and arguments of a worker end it with one line that names them."""

import os
import subprocess
import sys

import pytest

from worker_node import check_settings
from worker_node.settings import WorkerSettings, parse_options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISOLATION", "sometimes"),
        ("ALLOW_PICKLE", "perhaps"),
        ("HTTP_ALLOW", "http://localhost"),
        ("JOB_LIMITS", "memory"),
        ("EXECUTOR_USER", "nobody-of-this-name"),
        ("LOG_REDACT", "("),
        ("JOB_ENVIRONMENT", "A=1"),
        ("QUEUES", ","),
        ("QUEUES", " "),
        ("METRICS_LISTEN", "127.0.0.1:65536"),
    ],
)
def test_a_wrong_setting_is_one_line(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("WORKMANAGER_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv(f"WORKMANAGER_{name}", value)
    with pytest.raises(SystemExit) as ended:
        check_settings.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"WORKMANAGER_{name}: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slots", "0"], "--slots: '0' is not a whole number from 1"),
        (["--slots", "two"], "--slots: 'two' is not a whole number from 1"),
        (["--queues", ""], "--queues: must name at least one queue"),
        (["--queues", ","], "--queues: must name at least one queue"),
        (["--queues", "*,high"], "--queues: '*' means every queue"),
        (["--name", "a b"], "--name: must not be empty or contain spaces"),
        (["--brust"], "--brust"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(arguments, WorkerSettings())
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_an_executor_that_is_started_by_hand_says_who_starts_it_in_one_line() -> None:
    command = [sys.executable, "-m", "worker_node.executor"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("an executor is started by a worker")
