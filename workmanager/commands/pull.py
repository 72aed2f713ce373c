"""`workmanager pull`: takes completed results out, each handed out once."""

from __future__ import annotations

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_json, print_table


def main(arguments: Sequence[str]) -> int:
    """Prints the results; none is no failure."""
    options = _parser().parse_args(arguments)
    with open_client(options) as system:
        results = system.pull(options.top, order=options.order, lease_seconds=options.lease, wait_seconds=options.wait)
    if options.json:
        for result in results:
            print_json({"Work ID": result.id, "Value": result.value})
    elif results:
        # Uncut: what is handed out here is handed out once.
        print_table(["WORK ID", "VALUE"], [[result.id, result.value] for result in results], truncate=False)
    return 0


def _parser() -> CommandParser:
    parser = client_parser("pull", __doc__)
    parser.add_argument("--top", type=positive_int, default=100, metavar="N", help="at most N results (default 100)")
    parser.add_argument("--order", choices=["latest", "oldest"], default="latest")
    parser.add_argument(
        "--lease", type=positive_int, metavar="SECONDS", help="hand them out again unless acknowledged by then"
    )
    parser.add_argument("--wait", type=positive_int, metavar="SECONDS", help="wait for the first one, at most 55 s")
    return parser
