"""Settings in a file, beside those of the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobqueue.settings import load_settings
from manager.settings import ManagerSettings
from processes.settings_file import NAMES, SECRETS, SettingsFileError, unknown_settings, with_settings_file
from worker_node.settings import WorkerSettings

TEXT = """
redis_url_file: URL
functions: [shop, billing]
access_log: false
max_workers: 7
wait_weight: 0.5
budget_per_hour:
api_keys: [a-secret-of-16-characters]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "url").write_text("redis://example.com:6379/3\n")
    path = tmp_path / "settings.yaml"
    path.write_text(TEXT.replace("URL", str(tmp_path / "url")))
    return path


def test_the_file_has_what_the_environment_lacks(file: Path) -> None:
    environ = {"WORKMANAGER_CONFIG": str(file), "WORKMANAGER_MAX_WORKERS": "9", "WORKMANAGER_WAIT_WEIGHT": ""}
    settings = load_settings(ManagerSettings, environ)
    assert settings.redis_url == "redis://example.com:6379/3"
    assert (settings.functions, settings.access_log, settings.max_workers) == (("shop", "billing"), False, 9)
    assert (settings.wait_weight, settings.budget_per_hour) == (0.5, None)
    assert settings.api_keys == ("a-secret-of-16-characters",)
    assert load_settings(WorkerSettings, environ).functions == ("shop", "billing")


def test_a_secret_of_the_environment_counts_more_than_the_file_of_the_file(file: Path) -> None:
    environ = {"WORKMANAGER_CONFIG": str(file), "WORKMANAGER_REDIS_URL": "redis://localhost"}
    assert load_settings(ManagerSettings, environ).redis_url == "redis://localhost"


def test_every_setting_can_stand_in_the_file_and_nothing_else() -> None:
    fields = {**ManagerSettings.model_fields, **WorkerSettings.model_fields}
    assert {*fields, "url", "api_key"} == NAMES
    assert {name for name, field in fields.items() if not field.repr} | {"api_key"} == SECRETS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_worker: 3", "there is no setting 'max_worker'; did you mean 'max_workers'?"),
        ("WORKMANAGER_MAX_WORKERS: 3", "did you mean 'max_workers'?"),
        ("max_workers: {a: b}", "max_workers is neither a simple value nor a list of them"),
        ("functions: [[a]]", "functions is neither a simple value nor a list of them"),
        ("nice: 1\nnice: 2", "'nice' is given twice"),
    ],
)
def test_what_is_wrong_is_told_with_the_name_of_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(SettingsFileError) as error:
        with_settings_file({"WORKMANAGER_CONFIG": str(path)})
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("program", "text", "message"),
    [
        (["manager"], "nonsense: 1", "there is no setting 'nonsense'"),
        (["manager"], "lease_seconds: 99", "WORKMANAGER_LEASE_SECONDS: "),
        (["worker_node"], "nonsense: 1", "there is no setting 'nonsense'"),
        (["workmanager", "up"], "nonsense: 1", "there is no setting 'nonsense'"),
    ],
)
def test_a_program_that_is_given_a_wrong_file_says_so_in_one_line(
    tmp_path: Path, program: list[str], text: str, message: str
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", *program, "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_variables_that_no_program_knows_are_found_in_the_environment() -> None:
    known = {f"WORKMANAGER_{name.upper()}": "1" for name in [*NAMES, *(f"{each}_file" for each in SECRETS)]}
    known |= {"WORKMANAGER_CONFIG": "f", "WORKMANAGER_CONTEXT": "c", "WORKMANAGER_API_KEY_COMMAND": "c", "PATH": "p"}
    assert unknown_settings(known) == []
    assert unknown_settings(known | {"WORKMANAGER_MAX_WORKER": "1", "WORKMANAGER_": ""}) == [
        "WORKMANAGER_",
        "WORKMANAGER_MAX_WORKER",
    ]


def test_variables_of_a_kubernetes_service_are_no_misspelt_settings() -> None:
    of_service = {
        f"{service}_{what}": "1"
        for service in ("WORKMANAGER", "WORKMANAGER_REDIS")
        for what in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_5000_TCP", "PORT_5000_TCP_ADDR")
    }
    assert unknown_settings(of_service | {"WORKMANAGER_REDIS_URI": "1"}) == ["WORKMANAGER_REDIS_URI"]
    assert unknown_settings({"WORKMANAGER_PORT": "8080"}) == ["WORKMANAGER_PORT"]


@pytest.mark.parametrize("program", [["manager", "--port", "0"], ["worker_node", "--slots", "1"]])
def test_a_program_names_variables_that_no_program_knows_without_their_values(program: list[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKMANAGER_")}
    unknown = {"WORKMANAGER_REDIS_URI": "hunter2", "WORKMANAGER_QUEUE": "hunter2"}
    running = subprocess.Popen(
        [sys.executable, "-m", *program],
        stderr=subprocess.PIPE,
        text=True,
        env={**kept, "WORKMANAGER_REDIS_URL": "redis://127.0.0.1:1", **unknown},
    )
    try:
        assert running.stderr is not None
        lines = []
        for line in running.stderr:
            lines.append(line)
            if "event=unknown_settings" in line:
                break
    finally:
        running.kill()
        running.communicate()
    assert " names=WORKMANAGER_QUEUE,WORKMANAGER_REDIS_URI: " in lines[-1]
    assert "hunter2" not in "".join(lines)
