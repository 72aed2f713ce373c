"""The page of the command line names the commands and options that there are."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.commands import COMMANDS

PAGE = Path(__file__).parents[4] / "docs/command-line.md"
USAGES = re.findall(r"`workmanager ([a-z]+(?: [^`]*)?)`", PAGE.read_text().partition("\n## Commands\n")[2])
SUBCOMMAND = re.compile(r"[a-z]+ ([a-z]+)\b")


def test_the_page_has_every_command_and_no_other() -> None:
    assert {usage.split()[0] for usage in USAGES} == {*COMMANDS}


@pytest.mark.parametrize("command", sorted({usage.split()[0] for usage in USAGES} - {"manager", "worker"}))
def test_the_options_of_the_page_are_those_of_the_help(
    run: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    for usage in USAGES:
        if usage.split()[0] == command:
            found = SUBCOMMAND.match(usage)
            help_text = _help(run, capsys, *([command, found[1]] if found else [command]))
            options = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", usage))
            assert options <= set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", help_text)), usage


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"manager", "worker"}))
def test_every_command_has_help(run: Run, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert _help(run, capsys, command).startswith(f"usage: workmanager {command}")


def test_help_of_a_command_can_be_asked_for_in_words(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("help", "jobs")
    assert capsys.readouterr().out.startswith("usage: workmanager jobs")


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, f"workmanager {version('workmanager')}\n", "")


@pytest.mark.parametrize("command", ["keys", "limits", "callbacks", "operations"])
def test_a_command_without_an_action_lists_what_there_is(run: Run, command: str) -> None:
    with ScriptedManager(Answer({command: [], "cursor": None})) as manager:
        assert run(command, "--url", manager.url) == (0, "", "")
    assert [(request.method, request.path) for request in manager.requests] == [("GET", f"/{command}")]


def _help(run: Run, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        run(*arguments, "--help")
    return capsys.readouterr().out
