"""`workmanager requeue`: run ended jobs again, or all failed jobs of a queue."""

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.ids import add_ids, change_each, read_ids
from workmanager.commands.output import print_one
from workmanager.errors import UsageError


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    if bool(options.id) == bool(options.queue) or bool(options.queue) != options.failed:
        raise UsageError("give either an ID, or --queue NAME --failed (see workmanager requeue --help)")
    ids = read_ids(options.id)
    with open_client(options) as client:
        if options.failed:
            print_one(options, client.requeue_failed(options.queue))
            return 0
        return change_each(options, ids, client.requeue, "requeue")


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("requeue", __doc__)
    add_ids(parser, optional=True)
    parser.add_argument("--queue", metavar="NAME", help="with --failed: a queue")
    parser.add_argument("--failed", action="store_true", help="requeue all failed jobs of the queue")
    return parser
