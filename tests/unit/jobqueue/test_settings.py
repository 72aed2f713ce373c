"""Settings from the environment, and the error for an invalid one."""

from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from pydantic import BaseModel, Field

from jobqueue.settings import CommaSeparated, QueueSettings, exit_with_usage_error, load_settings
from manager.settings import ManagerSettings
from worker_node.settings import WorkerSettings


class Limits(BaseModel):
    """Settings as a program declares them."""

    slots: int = Field(default=1, ge=1)
    names: CommaSeparated = ()
    strict: bool = False


def test_unset_variables_have_defaults() -> None:
    assert load_settings(Limits, {}) == Limits()
    assert load_settings(QueueSettings, {"OTHER": "x", "REDIS_URL": "y"}).redis_url == "redis://127.0.0.1:6379/0"


def test_set_variables_are_read_and_empty_ones_count_as_unset() -> None:
    environ = {"WORKMANAGER_SLOTS": "4", "WORKMANAGER_NAMES": " a, b ,,c", "WORKMANAGER_STRICT": ""}
    assert load_settings(Limits, environ) == Limits(slots=4, names=("a", "b", "c"))
    assert load_settings(QueueSettings, {"WORKMANAGER_FUNCTIONS": "shop,billing"}).functions == ("shop", "billing")


@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (Limits, "SLOTS", "many"),
        (Limits, "SLOTS", "0"),
        (Limits, "STRICT", "perhaps"),
        (Limits, "NAMES", ", ,"),
        (QueueSettings, "LEASE_SECONDS", "0.5"),
        (QueueSettings, "LEASE_SECONDS", "26"),
        (QueueSettings, "LEASE_SECONDS", "nan"),
    ],
)
def test_an_invalid_variable_ends_the_program_with_one_line(
    model: type[BaseModel], name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        load_settings(model, {f"WORKMANAGER_{name}": value})
    assert raised.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"WORKMANAGER_{name}: ")
    assert repr(value) in err


@pytest.mark.parametrize("model", [ManagerSettings, WorkerSettings])
def test_a_refusal_says_in_words_what_a_setting_must_be(
    model: type[BaseModel], capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = {
        name: each.pattern
        for name, field in model.model_fields.items()
        for each in field.metadata
        if isinstance(getattr(each, "pattern", None), str)
    }
    assert patterns
    for name, pattern in patterns.items():
        with pytest.raises(SystemExit):
            load_settings(model, {f"WORKMANAGER_{name.upper()}": "foo!"})
        err = capsys.readouterr().err
        assert err == f"WORKMANAGER_{name.upper()}: must be {model.model_fields[name].description} (got 'foo!')\n"
        assert pattern not in err


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:9105", "example.com:65535"])
def test_workers_listen_for_scrapers_at_a_host_and_port(listen: str) -> None:
    assert load_settings(WorkerSettings, {"WORKMANAGER_METRICS_LISTEN": listen}).metrics_listen == listen


def test_a_usage_error_is_one_line_and_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        exit_with_usage_error("--slots: too many")
    assert (raised.value.code, capsys.readouterr().err) == (2, "--slots: too many\n")


@pytest.mark.parametrize(
    "url", ["redis://user:secret@host/0", "http://secret@host", "http://user:se/cr@et@host:1", "x http://u:secret@h y"]
)
def test_a_wrong_value_is_shown_without_the_password_of_its_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(QueueSettings, {"WORKMANAGER_LEASE_SECONDS": url})
    err = capsys.readouterr().err
    assert "://...@h" in err
    assert not any(part in err for part in ("secret", "se/cr", "et@"))


class Secrets(BaseModel):
    """Settings of which one is a secret."""

    secrets: CommaSeparated = Field(default=(), repr=False, max_length=2)
    names: CommaSeparated = ()


def test_a_secret_can_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("one\ntwo\n")
    environ = {"WORKMANAGER_SECRETS_FILE": str(path), "WORKMANAGER_NAMES_FILE": str(path)}
    assert load_settings(Secrets, environ) == Secrets(secrets=("one", "two"))
    assert load_settings(Secrets, environ | {"WORKMANAGER_SECRETS": "three"}).secrets == ("three",)


def test_a_secret_can_be_one_of_secrets_manager(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="jobs/secrets", SecretString="one\ntwo")
        assert load_settings(Secrets, {"WORKMANAGER_SECRETS_SECRET": "jobs/secrets"}).secrets == ("one", "two")
        with pytest.raises(SystemExit, match="2"):
            load_settings(Secrets, {"WORKMANAGER_SECRETS_SECRET": "jobs/none"})
    err = capsys.readouterr().err
    assert err.startswith("WORKMANAGER_SECRETS_SECRET: the secret cannot be read: ")
    assert err.count("\n") == 1


def test_a_wrong_secret_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for environ, told in (
        ({"WORKMANAGER_SECRETS": "hunter1,hunter2,hunter3"}, "WORKMANAGER_SECRETS: "),
        ({"WORKMANAGER_SECRETS_FILE": str(tmp_path / "none")}, "WORKMANAGER_SECRETS_FILE: the file cannot be read"),
    ):
        with pytest.raises(SystemExit):
            load_settings(Secrets, environ)
        err = capsys.readouterr().err
        assert err.startswith(told)
        assert err.count("\n") == 1
        assert "hunter" not in err
