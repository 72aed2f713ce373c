"""`workmanager wait`: wait until jobs have ended, and show each."""

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.ids import add_ids, read_ids
from workmanager.commands.wait_for_jobs import wait_for_jobs


def main(arguments: Sequence[str]) -> int:
    """Print each job when it has ended. Return 1 if one did not finish, 3 if there is none."""
    options = make_parser().parse_args(arguments)
    ids = read_ids(options.id)
    with open_client(options) as client:
        return wait_for_jobs(client, ids, options, timeout_seconds=options.timeout)


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("wait", __doc__)
    add_ids(parser)
    parser.add_argument("--timeout", type=positive_int, metavar="SECONDS", help="wait no longer (default: no limit)")
    return parser
