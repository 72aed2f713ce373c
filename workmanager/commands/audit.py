"""`workmanager audit`: list who changed keys, queues, schedules, limits and the scaler, the latest change first."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_rows

COLUMNS = ("at", "actor", "address", "action", "target", "before", "after")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        entries = client.system.audit(page_size=min(options.limit, 1000))
        print_rows(options, itertools.islice(entries, options.limit), COLUMNS, shown=_shown)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("audit", __doc__, lists=True)
    parser.add_argument("--limit", type=positive_int, default=100, metavar="N", help="list at most N (default 100)")
    return parser


def _shown(name: str, value: Any) -> Any:
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if name == "at" else value
