"""`workmanager workers`: list the workers, what they serve and run, and whether they are heard of; or let one drain."""

from collections.abc import Sequence
from typing import Any

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import print_one, print_rows
from workmanager.errors import UsageError

COLUMNS = ("name", "state", "running", "slots", "queues", "finished", "failed", "seconds_since_heartbeat", "problems")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    if (options.action == "list") != (options.name is None):
        raise UsageError(f"give {'no NAME to list' if options.name else 'the NAME of a worker'}, see --help")
    with open_client(options) as client:
        if options.action == "drain":
            print_one(options, client.system.drain_worker(options.name))
        else:
            print_rows(options, client.system.workers(), COLUMNS, key="name", shown=_shown)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("workers", __doc__, lists=True)
    parser.add_argument("action", choices=("list", "drain"), nargs="?", default="list", help="default: list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="with drain: a worker")
    return parser


def _shown(name: str, value: Any) -> Any:
    if name in ("queues", "problems"):
        return ",".join(value)
    return round(value, 1) if isinstance(value, float) else value
