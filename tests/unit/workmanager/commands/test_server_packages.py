"""The client needs few packages; server programs say which extra has theirs, and which module hides one of ours."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from workmanager.commands import COMMANDS, SERVER_COMMANDS
from workmanager.commands.server_packages import EXTRA_MODULES, OWN_PACKAGES, find_name_clashes

ROOT = Path(__file__).parents[4]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CLIENT_ALONE = f"""
import sys
for name in {(*EXTRA_MODULES, *OWN_PACKAGES)!r}:
    if name != "workmanager":
        sys.modules[name] = None  # as if it were not installed
from workmanager.__main__ import main
for arguments in {{commands!r}}:
    sys.argv = ["workmanager", *arguments]
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    print("exit code", code, flush=True)
"""


def _run_without_server_packages(*commands: list[str]) -> tuple[list[str], str]:
    """Run commands one after the other. Return the lines about their exit codes, and standard error."""
    program = CLIENT_ALONE.format(commands=commands)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.startswith("exit code")], done.stderr


def test_every_client_command_starts_without_the_servers_packages() -> None:
    commands = [[name, "--help"] for name in COMMANDS if name not in SERVER_COMMANDS]
    ended, errors = _run_without_server_packages(["--help"], *commands, ["status", "--url", "nowhere"])
    assert ended == ["exit code 0"] * (1 + len(commands)) + ["exit code 2"]
    assert errors == "workmanager: 'nowhere' is not a manager URL; give one such as http://127.0.0.1:5000\n"


@pytest.mark.parametrize("command", sorted(SERVER_COMMANDS))
def test_a_server_program_without_its_packages_names_the_extra_in_one_line(command: str) -> None:
    ended, errors = _run_without_server_packages([command])
    assert (ended, errors.count("\n")) == (["exit code 2"], 1)
    assert errors.startswith(f"workmanager: `workmanager {command}` needs packages that are not installed (")
    assert "pip install '.[server]'" in errors


def test_the_client_needs_few_packages_and_the_extra_is_what_the_deployment_pins() -> None:
    names = [re.split(r"[<>=]", text)[0] for text in PROJECT["project"]["dependencies"]]
    assert names == ["certifi", "httpx", "PyYAML"]
    extras = PROJECT["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    assert extras == {"server": {"file": ["requirements.txt"]}, "otel": {"file": ["requirements-otel.txt"]}}


def test_all_direct_requirements_are_looked_for() -> None:
    direct, _, _ = (ROOT / "requirements.txt").read_text().partition("# What those need")
    names = {name.lower().replace("-", "_") for name in re.findall(r"^([\w-]+)==", direct, re.MULTILINE)}
    assert names - {"httpx", "pyyaml"} == set(EXTRA_MODULES)


def _modules_without(requirements: str) -> Iterator[str]:
    """Yield the modules of all installed packages that a file of requirements does not name, the outermost ones."""
    named = {name.lower() for name in re.findall(r"^([\w.-]+)==", (ROOT / requirements).read_text(), re.MULTILINE)}
    for distribution in importlib.metadata.distributions():
        if distribution.name.lower() in {*named, "workmanager"}:
            continue
        files = [path for path in distribution.files or [] if path.suffix == ".py" and ".." not in path.parts]
        packages = {path.parent.parts for path in files if path.name == "__init__.py"}
        for path in files:
            lengths = (length for length in range(1, len(path.parts)) if path.parts[:length] in packages)
            parts = path.parts[: next(lengths, len(path.parts))]
            yield ".".join(parts).removesuffix(".py")


@pytest.mark.parametrize("program", ["manager", "worker_node", "worker_node.executor", "workmanager"])
def test_a_program_needs_nothing_but_the_packages_of_the_extra_server(program: str) -> None:
    """Not those of the extra `otel`, nor those of development, which every other test has at hand."""
    hidden = sorted(set(_modules_without("requirements.txt")))
    assert {"opentelemetry.sdk.trace", "pytest"} <= set(hidden)
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden!r})); import {program}.__main__"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_the_programs_own_packages_are_installed() -> None:
    patterns = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {path.parent.name for path in ROOT.glob("*/*.py")} | {"docs", "scripts"}
    installed = {name for name in folders if any(fnmatch(name, pattern) for pattern in patterns)}
    assert installed == set(OWN_PACKAGES)
    assert {"tests", "benchmarks", "infra"} <= folders - installed


@pytest.mark.parametrize(
    ("files", "hidden"),
    [
        (["manager.py"], ["manager.py"]),
        (["scaler/__init__.py"], ["scaler"]),
        (["processes/notes.txt"], []),
        (["manager/__init__.py", "manager/__main__.py"], []),
        (["functions.py", "tests/manager.py"], []),
    ],
)
def test_a_module_that_hides_one_of_ours_is_found(tmp_path: Path, files: list[str], hidden: list[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_name_clashes([str(tmp_path), *sys.path]) == [tmp_path / name for name in hidden]


@pytest.mark.parametrize("command", sorted(SERVER_COMMANDS))
def test_a_server_program_is_not_mistaken_for_a_users_module(tmp_path: Path, command: str) -> None:
    (tmp_path / "manager.py").write_text("print('mine')\n")
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from workmanager.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'manager.py'} would be run instead of workmanager's own package 'manager'" in done.stderr
