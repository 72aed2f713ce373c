"""Write the man pages of `workmanager` and its commands: `python -m scripts.documents.man_pages [DIRECTORY]`."""

import argparse
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from argparse_manpage.manpage import Manpage

from scripts.documents.command_parsers import actions_of, command_parsers
from workmanager.commands import COMMANDS
from workmanager.commands.exit_codes import EXIT_CODES

ROOT = Path(__file__).parents[2]
DEFAULT_TARGET = ROOT / "build/man"
_ENVIRONMENT = {
    "WORKMANAGER_URL": "URL of a manager, or several separated by commas (http://127.0.0.1:5000 if unset)",
    "WORKMANAGER_API_KEY": "the API key",
    "WORKMANAGER_API_KEY_FILE": "a file with the API key",
    "WORKMANAGER_API_KEY_COMMAND": "a command that prints the API key",
    "WORKMANAGER_CONTEXT": "the system of the file of settings that is used",
    "WORKMANAGER_CONFIG": "the file of settings (~/.config/workmanager/config.yaml if unset)",
    "NO_COLOR": "if set, nothing is coloured",
}


def man_pages() -> Mapping[str, str]:
    """Return the text of each page by the name of its file, such as `workmanager-submit.1`."""
    pages = {"workmanager.1": _page(_main_parser(), "a job queue with an HTTP API")}
    for name, parser in command_parsers().items():
        pages[f"workmanager-{name}.1"] = _page(parser, COMMANDS[name][1])
    return pages


def _main_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workmanager",
        description="Run a job queue, or talk to one. Each command has a page: workmanager-COMMAND(1).",
    )
    parser.add_argument("--version", action="store_true", help="tell the version")
    commands = parser.add_argument_group("commands")
    for name, (_, summary) in COMMANDS.items():
        commands.add_argument(name, nargs="?", help=summary)
    parser.usage = "workmanager COMMAND [ARGUMENT...]"
    return parser


def _page(parser: argparse.ArgumentParser, summary: str) -> str:
    for each in (parser, *actions_of(parser).values()):
        # `command`: text … is how a module's docstring begins; the page has its name already.
        each.description = re.sub(r"^`[^`]+`: ", "", each.description or "")
    page = Manpage(parser, _data={"project_name": "workmanager", "version": version("workmanager")})
    page.description = summary
    page.manual = "workmanager"
    page.prog = parser.prog.replace(" ", "-")
    return str(page) + _ends()


def _ends() -> str:
    """What every page ends with: variables and exit codes."""
    lines = [".SH ENVIRONMENT"]
    for name, meaning in _ENVIRONMENT.items():
        lines += [".TP", rf"\fB{name}\fR", _escaped(meaning)]
    lines.append(".SH EXIT STATUS")
    for code, meaning in EXIT_CODES.items():
        lines += [".TP", rf"\fB{code}\fR", _escaped(meaning)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("-", r"\-").replace("~", r"\(ti")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_TARGET
    target.mkdir(parents=True, exist_ok=True)
    for name, text in man_pages().items():
        (target / name).write_text(text)
    sys.stdout.write(f"{target}\n")
