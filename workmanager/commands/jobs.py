"""`workmanager jobs`: list jobs."""

import itertools
from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_rows

COLUMNS = ("id", "status", "function", "queue", "enqueued_at", "ended_at")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        label = None if options.label is None else options.label.replace("=", ":", 1)
        matching = client.jobs(status=options.status, queue=options.queue, label=label)
        print_rows(options, itertools.islice(matching, options.limit), COLUMNS)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("jobs", __doc__, lists=True)
    parser.add_argument("--status", help="list only queued, scheduled, started, finished, failed, ... jobs")
    parser.add_argument("--queue", metavar="NAME", help="list only jobs of this queue")
    parser.add_argument("--label", metavar="NAME=VALUE", help="list only jobs with this label, the newest first")
    parser.add_argument("--limit", type=positive_int, default=100, metavar="N", help="list at most N (default 100)")
    return parser
