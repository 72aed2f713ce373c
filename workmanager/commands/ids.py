"""Commands on several things by their ids: as arguments, or as lines of standard input."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from workmanager.commands.exit_codes import exit_code
from workmanager.commands.output import print_error, print_one
from workmanager.errors import ClientError, UsageError

ID_NAMES = ("id", "Work ID")
"""What holds the id in a line of JSON, as lists of jobs and results are printed."""
REFUSALS = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
"""Answers that concern one id alone."""


def add_ids(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the argument `ID...`."""
    parser.add_argument(
        "id",
        nargs="*" if optional else "+",
        metavar="ID",
        help="of a job; - reads ids from standard input, or lines that --json prints",
    )


def read_ids(given: Sequence[str]) -> list[str]:
    """Return the ids, each once, with those of standard input for `-`.

    Raises:
        UsageError: a line has no id.
    """
    ids: list[str] = []
    for text in given:
        ids += _lines(sys.stdin) if text == "-" else [text]
    return list(dict.fromkeys(ids))


def change_each(
    options: argparse.Namespace, ids: Iterable[str], change: Callable[[str], Mapping[str, Any]], verb: str
) -> int:
    """Make a change for each id, and print what has come of it. One that is refused stops no other.

    Returns:
        0, or the exit code of the first refusal.
    """
    code = 0
    for each in ids:
        try:
            print_one(options, change(each))
        except ClientError as error:
            if error.status not in REFUSALS:
                raise
            print_error(f"workmanager: cannot {verb} {each}: {error}")
            code = code or exit_code(error)
    return code


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("{"):
            yield _id_of(text, number)
        elif text:
            yield text


def _id_of(text: str, number: int) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = {}
    for name in ID_NAMES:
        if isinstance(value.get(name), str):
            return str(value[name])
    raise UsageError(f"line {number} of standard input has no field `id`")
