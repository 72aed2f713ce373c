"""`workmanager contexts`: list the systems of the file of settings; `--context NAME` uses one."""

import os
from collections.abc import Sequence
from typing import Any

from workmanager.commands.arguments import CommandParser, client_parser
from workmanager.commands.output import print_rows
from workmanager.commands.target import contexts_of
from workmanager.http.addresses import without_user

COLUMNS = ("name", "url", "key", "is_default")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    contexts, default = contexts_of(os.environ, options.config)
    rows = [
        {
            "name": name,
            # Never the key itself, nor a password.
            "url": _without_users(context["url"]),
            "key": next((entry for entry in context if entry.startswith("api_key")), None),
            "is_default": name == default,
        }
        for name, context in contexts.items()
    ]
    print_rows(options, rows, COLUMNS, key="name")
    return 0


def _without_users(urls: Any) -> Any:
    """Return the URLs of a context, one or several with commas or a list, without users and passwords."""
    if isinstance(urls, list):
        return [_without_users(url) for url in urls]
    return ",".join(without_user(url.strip()) for url in str(urls).split(","))


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    return client_parser("contexts", __doc__, lists=True)
