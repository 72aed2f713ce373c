"""`workmanager queues`: list the queues with their jobs, or pause and resume one."""

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import print_one, print_rows
from workmanager.errors import UsageError

COLUMNS = ("name", "served", "paused", "queued", "scheduled", "started", "failed", "oldest_seconds")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    if (options.action == "list") != (options.name is None):
        raise UsageError(f"give {'no NAME to list' if options.name else 'the NAME of a queue'}, see --help")
    with open_client(options) as client:
        if options.action != "list":
            change = client.pause_queue if options.action == "pause" else client.resume_queue
            print_one(options, change(options.name))
        else:
            print_rows(options, client.queues(), COLUMNS, key="name")
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("queues", __doc__, lists=True)
    parser.add_argument("action", choices=("list", "pause", "resume"), nargs="?", default="list", help="default: list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="with pause or resume: a queue")
    return parser
