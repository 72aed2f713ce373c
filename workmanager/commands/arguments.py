"""Argument parsing that commands share: types, and the options of commands that talk to a manager."""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from workmanager.commands.output import print_error
from workmanager.commands.target import DEFAULT_FILE, DEFAULT_URL, Target, find_target
from workmanager.commands.terminal import is_terminal, tell_of_repeats
from workmanager.errors import UsageError

if TYPE_CHECKING:
    from workmanager.client import Client

RETRY_SECONDS = 8.0
"""Longer than a failover takes; a person is waiting."""


class CommandParser(argparse.ArgumentParser):
    """An argument parser that reports a usage error in one line.

    Attributes:
        help_class: formats the help.
    """

    help_class: type[argparse.HelpFormatter] = argparse.HelpFormatter

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, formatter_class=self._make_formatter)

    def _make_formatter(self, prog: str, width: int | None = None) -> argparse.HelpFormatter:
        # argparse makes one for each option, to check it. If it has to find the width, it imports shutil for it, and so
        # three libraries of compression.
        return self.help_class(prog, width=width or _help_columns())

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def _help_columns() -> int:
    """Return how wide help is: as the terminal, with a margin."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told) - 2
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, ValueError, OSError):  # It is closed, or no terminal.
        columns = 0
    return (columns or 80) - 2


def or_list(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments of a command with several actions; without one it lists what there is."""
    has_action = arguments and (not arguments[0].startswith("-") or arguments[0] in ("-h", "--help"))
    return arguments if has_action else ["list", *arguments]


def positive_int(text: str) -> int:
    """Parse a whole number from 1 (an argparse type)."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def positive_number(text: str) -> float:
    """Parse a number above 0 (an argparse type)."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object (an argparse type)."""
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value


def json_array(text: str) -> list[Any]:
    """Parse a JSON array (an argparse type)."""
    value = _json(text)
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON array")
    return value


def _json(text: str) -> Any:
    """Return the value of a JSON text, or None. Python would also read NaN, which no manager accepts."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def field_names(text: str) -> list[str]:
    """Parse names separated by commas (an argparse type)."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} does not have the form NAME,NAME.NAME,...")
    return names


def client_parser(command: str, description: str | None, *, lists: bool = False, fields: bool = True) -> CommandParser:
    """Return a parser with the options of `add_client_options`."""
    parser = CommandParser(prog=f"workmanager {command}", description=description)
    add_client_options(parser, lists=lists, fields=fields)
    return parser


def add_client_options(parser: argparse.ArgumentParser, *, lists: bool = False, fields: bool = True) -> None:
    """Add `--url`, `--key`, `--context`, `--json` and others, with `fields` also `--fields`, with `lists` also `-q`."""
    parser.add_argument(
        "--url",
        action="append",
        help=f"URL of a manager, or several separated by commas (default: WORKMANAGER_URL, else {DEFAULT_URL})",
    )
    parser.add_argument("--key", help="API key (default: WORKMANAGER_API_KEY; others see the command line)")
    parser.add_argument("--key-file", metavar="FILE", help="file with the API key")
    parser.add_argument("--context", metavar="NAME", help="use this system of the file of settings")
    parser.add_argument(
        "--config", metavar="FILE", help=f"file of settings (default: WORKMANAGER_CONFIG, else {DEFAULT_FILE})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one value per line")
    if fields:
        parser.add_argument(
            "--fields", type=field_names, metavar="NAME,...", help="print only these fields; a.b is the field b of a"
        )
    if lists:
        parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but what names each, for scripts")


def open_client(options: argparse.Namespace) -> "Client":
    """Return the client of the system that the options describe, or else the environment or the file of settings."""
    from workmanager.client import Client  # Here, because neither help nor a wrong option needs it.

    target = find_options_target(options)
    if is_terminal(sys.stderr):
        tell_of_repeats(print_error)
    return Client(target.urls, target.key, retry_seconds=RETRY_SECONDS)


def find_options_target(options: argparse.Namespace) -> Target:
    """Return the system that the options describe, or else the environment or the file of settings."""
    return find_target(
        os.environ,
        urls=options.url,
        key=options.key,
        key_file=options.key_file,
        context=options.context,
        config=options.config,
    )
