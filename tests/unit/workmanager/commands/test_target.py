"""Which system a command talks to, and with which key."""

import json
from pathlib import Path

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import ScriptedManager
from workmanager.commands.target import Target, find_target
from workmanager.errors import UsageError

CONTEXTS = """
context: laptop
contexts:
  laptop: {url: "http://laptop:5000"}
  production:
    url: [https://a.example.com, https://b.example.com]
    api_key_file: KEYS/production
  staging: {url: "https://staging.example.com", api_key_command: printf 'staging-key\\n'}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "workmanager"
    folder.mkdir()
    (folder / "config.yaml").write_text(CONTEXTS.replace("KEYS", str(tmp_path)))
    (tmp_path / "production").write_text("production-key\n")
    return tmp_path


PRODUCTION = Target(["https://a.example.com", "https://b.example.com"], "production-key")
STAGING = Target(["https://staging.example.com"], "staging-key")
ENVIRONMENT = {"WORKMANAGER_URL": "http://environment", "WORKMANAGER_API_KEY": "environment-key"}


@pytest.mark.parametrize(
    ("environ", "options", "target"),
    [
        ({}, {}, Target(["http://laptop:5000"], None)),
        ({}, {"context": "production"}, PRODUCTION),
        ({}, {"context": "production", "key": "given"}, Target(PRODUCTION.urls, "given")),
        ({"WORKMANAGER_CONTEXT": "staging"}, {}, STAGING),
        ({"WORKMANAGER_CONTEXT": "staging"}, {"context": "production"}, PRODUCTION),
        (ENVIRONMENT, {}, Target(["http://environment"], "environment-key")),
        (ENVIRONMENT, {"context": "production"}, PRODUCTION),
        # A key is not sent to where it does not belong.
        (ENVIRONMENT, {"context": "laptop"}, Target(["http://laptop:5000"], None)),
        ({}, {"urls": ["http://other"]}, Target(["http://other"], None)),
        ({"WORKMANAGER_CONTEXT": "staging"}, {"urls": ["http://other"]}, Target(["http://other"], None)),
        ({"WORKMANAGER_URL": "http://environment"}, {}, Target(["http://environment"], None)),
        ({"WORKMANAGER_API_KEY_COMMAND": "printf 'a key'"}, {}, None),
        ({"WORKMANAGER_API_KEY_COMMAND": "printf key"}, {}, Target(["http://laptop:5000"], "key")),
    ],
)
def test_options_count_more_than_the_environment_and_that_more_than_the_file(
    home: Path, environ: dict[str, str], options: dict[str, str], target: Target | None
) -> None:
    environ = {"XDG_CONFIG_HOME": str(home), **environ}
    if target is None:
        with pytest.raises(UsageError, match="gives no key"):
            find_target(environ, **options)  # type: ignore[arg-type]  # one of them is a list
    else:
        assert find_target(environ, **options) == target  # type: ignore[arg-type]  # one of them is a list


def test_without_a_file_there_is_a_manager_on_this_machine(tmp_path: Path) -> None:
    assert find_target({"XDG_CONFIG_HOME": str(tmp_path)}) == Target(["http://127.0.0.1:5000"], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("contexts: {a: {}}", "context 'a' has no url"),
        ("contexts: {a: {url: x, key: y}}", "context 'a' has an entry 'key', which is none of url, api_key"),
        ("contexts: [a]", "contexts must be a mapping"),
        ("contexts: {b: {url: x}}", "has no context 'a'; there are b"),
        ("contexts: {a: {url: {x: y}}}", "url is neither a URL nor a list"),
        ("contexts: {a: {url: x, api_key_file: /nowhere}}", "api_key_file: /nowhere cannot be read: No such file"),
        ("contexts: {a: {url: x, api_key_command: 'false'}}", "api_key_command failed: "),
        ("contexts: {a: {url: x, api_key_command: no-such-program}}", "api_key_command failed: "),
        ("contexts: {a: {url: x, api_key_command: 'true'}}", "api_key_command gives no key"),
        ("context: a\ncontext: b", "'context' is given twice"),
        ("ulr: http://x", "there is no setting 'ulr'; did you mean 'url'?"),
        ("a: [", "is not valid YAML"),
        ("- a", "has no settings"),
        ("contexts: &x {a: *x}", "aliases"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_in_one_line(run: Run, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    code, output, errors = run("status", "--config", str(path), "--context", "a")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"workmanager: {path}")
    assert message in errors


def test_a_file_that_is_named_must_be_there(run: Run, tmp_path: Path) -> None:
    assert run("--config", str(tmp_path / "none"), "status")[0] == 2


def test_the_key_of_a_file_is_sent(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    with ScriptedManager() as manager:
        assert run("status", "--url", manager.url, "--key-file", str(tmp_path / "key"))[0] == 0
    assert manager.requests[0].headers["Authorization"] == "Bearer secret"


def test_contexts_are_listed_without_their_keys(run: Run, home: Path) -> None:
    path = str(home / "workmanager/config.yaml")
    code, output, _ = run("contexts", "--config", path, "--json", "--fields", "name,key,is_default")
    assert code == 0
    assert [json.loads(line) for line in output.splitlines()] == [
        {"name": "laptop", "key": None, "is_default": True},
        {"name": "production", "key": "api_key_file", "is_default": False},
        {"name": "staging", "key": "api_key_command", "is_default": False},
    ]


def test_contexts_are_listed_without_the_passwords_of_their_urls(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "contexts.yaml"
    file.write_text('contexts: {a: {url: "http://u:secret@a, http://b"}, c: {url: ["https://u:secret@c:1/p"]}}')
    _, output, _ = run("contexts", "--config", str(file), "--json", "--fields", "url")
    assert [json.loads(line)["url"] for line in output.splitlines()] == ["http://a,http://b", ["https://c:1/p"]]
