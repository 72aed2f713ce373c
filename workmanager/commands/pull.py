"""`workmanager pull`: pull completed results; each is delivered once."""

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_rows, select_fields

COLUMNS = ("Work ID", "Value")


def main(arguments: Sequence[str]) -> int:
    """Print the results. If there are none, that is a success, too."""
    options = make_parser().parse_args(arguments)
    # Before anything is taken: what cannot be printed is not delivered again.
    select_fields(dict.fromkeys(COLUMNS), options.fields)
    with open_client(options) as client:
        results = client.pull(options.top, order=options.order, lease_seconds=options.lease, wait_seconds=options.wait)
    rows = [{"Work ID": result.id, "Value": result.value} for result in results]
    # Not truncated: a result that is printed here is not delivered again.
    print_rows(options, rows, COLUMNS, key="Work ID", truncate=False)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("pull", __doc__)
    parser.add_argument("--top", type=positive_int, default=100, metavar="N", help="pull at most N (default 100)")
    parser.add_argument("--order", choices=["latest", "oldest"], default="latest", help="default: latest first")
    parser.add_argument(
        "--lease",
        type=positive_int,
        metavar="SECONDS",
        help="deliver the results again unless `workmanager ack` confirms them within this time",
    )
    parser.add_argument("--wait", type=positive_int, metavar="SECONDS", help="wait for the first result (at most 55 s)")
    return parser
