"""The code blocks of the documents: they can be read, and what they call is there.

Tests elsewhere run many of them. These hold for every block of every page, and take milliseconds.
"""

import argparse
import ast
import importlib
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import hcl2
import pytest
import yaml

from manager.settings import ManagerSettings
from tests.code_blocks import ROOT, CodeBlock, Command, code_blocks, commands
from worker_node.settings import WorkerSettings
from workmanager import job
from workmanager.__main__ import options_behind_command
from workmanager.aio import AsyncClient
from workmanager.client import Client
from workmanager.commands import COMMANDS
from workmanager.commands.arguments import or_list
from workmanager.commands.completion import PASSED_ON

LANGUAGES = {
    *("sh", "python", "json", "yaml", "hcl", "ts", "js"),
    *("", "mermaid", "markdown"),  # what programs print, diagrams (`./scripts/dev.sh docs` draws them), a template
}
OPENAPI = json.loads((ROOT / "openapi.json").read_text())
SETTINGS = {
    f"WORKMANAGER_{name.upper()}{ending}"
    for name in (*ManagerSettings.model_fields, *WorkerSettings.model_fields, "url", "api_key", "context", "config")
    for ending in ("", "_FILE", "_SECRET", "_COMMAND")
}
ELSEWHERE = {"celery", "texts"}
"""Packages of systems that programs move from (docs/moving), and the module that the reader writes."""
READ_BY_SCRIPTS = {"WORKMANAGER_REDIS_PASSWORD"}
MANAGERS = ("127.0.0.1:5000", "127.0.0.1:5001")


def _each(*languages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", code_blocks(*languages), ids=str)


def test_every_block_is_in_a_language_that_is_checked() -> None:
    assert [str(block) for block in code_blocks() if block.language not in LANGUAGES] == []


@_each("json")
def test_json_can_be_read(block: CodeBlock) -> None:
    json.loads(block.text)


@_each("yaml")
def test_yaml_can_be_read(block: CodeBlock) -> None:
    assert yaml.safe_load(block.text)


@_each("hcl")
def test_terraform_can_be_read(block: CodeBlock) -> None:
    assert hcl2.loads(block.text)


@_each("js")
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_node_can_read_javascript(block: CodeBlock, tmp_path: Path) -> None:
    program = tmp_path / "block.mjs"
    program.write_text(block.text)
    subprocess.run(["node", "--check", program], check=True)


@_each("ts", "js")
def test_javascript_calls_routes_that_there_are(block: CodeBlock) -> None:
    calls = re.findall(r"\.(GET|POST|PUT|DELETE)\(\"(/[^\"]*)\"|\(\"(GET|POST|PUT|DELETE)\", \"(/[^\"]*)\"", block.text)
    for method, path in [(one or other, this or that) for one, this, other, that in calls]:
        assert _is_route(method, path.partition("?")[0]), path


@_each("python")
def test_python_imports_and_calls_what_there_is(block: CodeBlock) -> None:
    tree = ast.parse(block.text, filename=str(block))
    assert [fault for node in ast.walk(tree) for fault in _faults_of_import(node)] == []
    owners: dict[str, object] = {"client": AsyncClient if "AsyncClient" in block.text else Client}
    if "from workmanager import job" in block.text:
        owners["job"] = job
    assert [fault for node in ast.walk(tree) for fault in _faults_of_call(node, owners)] == []


def _faults_of_import(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = {alias.name for alias in node.names} - ELSEWHERE
        yield from (name for name in names if importlib.util.find_spec(name) is None)
    if isinstance(node, ast.ImportFrom) and node.module not in ELSEWHERE:
        module = importlib.import_module(str(node.module))
        yield from (f"{node.module}.{alias.name}" for alias in node.names if not hasattr(module, alias.name))


def _faults_of_call(node: ast.AST, owners: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with a call such as `client.submit("noop", queue="reports")`."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=attribute), keywords=keywords) if name in owners:
            called = getattr(owners[name], attribute, None)
            if called is None:
                yield f"{name}.{attribute} does not exist"
                return
            parameters = inspect.signature(called).parameters
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
                unknown = [word.arg for word in keywords if word.arg and word.arg not in parameters]
                yield from (f"{name}.{attribute} takes no {word}" for word in unknown)


@_each("sh")
def test_a_shell_can_read_it(block: CodeBlock) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@_each("sh")
def test_commands_programs_settings_and_routes_of_a_shell_exist(block: CodeBlock) -> None:
    found = list(commands(block.text))
    assert found
    for command in found:
        named = {name for name in command.variables if name.startswith("WORKMANAGER_")}
        assert named <= SETTINGS | READ_BY_SCRIPTS
        if command.words:
            _check(command)


def _check(command: Command) -> None:
    program, *arguments = command.words
    name = program.removeprefix(".venv/bin/")
    if name == "workmanager":
        _parse(arguments)
    elif name == "python" and arguments[0] != "-m":
        assert (ROOT / arguments[0]).exists()
    elif program.startswith("./scripts/"):
        _check_options_of_script(ROOT / program, arguments)
    elif program == "curl":
        _check_request(arguments)


def _parse(arguments: list[str]) -> None:
    """Read the arguments of `workmanager` as it does itself.

    Raises:
        UsageError: it has no such command, option or choice.
    """
    name, *rest = options_behind_command(arguments)
    module, _ = COMMANDS[name]
    if name not in PASSED_ON:
        parser = importlib.import_module(module).make_parser()
        with_actions = any(action.nargs == argparse.PARSER for action in parser._actions)
        parser.parse_args(or_list(rest) if with_actions else rest)


def _check_options_of_script(script: Path, arguments: list[str]) -> None:
    sources = "".join(path.read_text() for path in (script, *script.parent.glob("_*.sh")))
    if script.name == "dev.sh":
        assert f"task_{arguments[0]}()" in sources
    elif script.name not in {"test.sh", "demo.sh"}:  # pytest's options, those of workmanager.demo
        options = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
        assert [option for option in options if option not in sources] == []


def _check_request(arguments: list[str]) -> None:
    """Check path and method of a request to a manager."""
    (url,) = [urlsplit(argument) for argument in arguments if argument.startswith(("http:", "https:"))]
    if url.netloc in MANAGERS:
        posts = "-d" in arguments or "-F" in arguments
        method = arguments[arguments.index("-X") + 1] if "-X" in arguments else "POST" if posts else "GET"
        assert _is_route(method, url.path), f"{method} {url.path}"


def _is_route(method: str, path: str) -> bool:
    if path == "/openapi.json":  # which does not describe itself
        return method == "GET"
    patterns = {known: re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(known)) for known in OPENAPI["paths"]}
    matching = [known for known, pattern in patterns.items() if re.fullmatch(pattern, path)]
    return any(method.lower() in OPENAPI["paths"][known] for known in matching)
