"""What several commands' arguments share: their types, and the options of those that talk to a manager."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any, NoReturn

from workmanager.client import Client
from workmanager.errors import UsageError

_RETRY_SECONDS = 8.0  # outlasts a failover; a person is waiting
DEFAULT_URL = "http://127.0.0.1:5000"


class CommandParser(argparse.ArgumentParser):
    """Tells of a wrong argument in one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def positive_int(text: str) -> int:
    """An argparse type: a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def json_object(text: str) -> dict[str, Any]:
    """An argparse type: a JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value


def client_parser(command: str, description: str | None) -> CommandParser:
    """A parser with `--url`, `--key` and `--json`."""
    parser = CommandParser(prog=f"workmanager {command}", description=description)
    parser.add_argument(
        "--url",
        action="append",
        help=f"a manager, or several separated by commas (WORKMANAGER_URL; default {DEFAULT_URL})",
    )
    parser.add_argument("--key", help="the API key (WORKMANAGER_API_KEY)")
    parser.add_argument("--json", action="store_true", help="print JSON, one value a line")
    return parser


def open_client(options: argparse.Namespace) -> Client:
    """The client that the options, or else the environment, describe."""
    given = options.url or [os.environ.get("WORKMANAGER_URL") or DEFAULT_URL]
    urls = [url.strip() for text in given for url in text.split(",") if url.strip()]
    key = options.key or os.environ.get("WORKMANAGER_API_KEY")
    return Client(urls, key, retry_seconds=_RETRY_SECONDS)
