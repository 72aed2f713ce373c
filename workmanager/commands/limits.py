"""`workmanager limits`: list, show, set and delete limits of how many jobs run."""

import argparse
from collections.abc import Sequence
from typing import Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client, or_list
from workmanager.commands.output import print_one, print_rows
from workmanager.errors import UsageError

COLUMNS = ("key", "concurrency", "rate", "burst", "running", "waiting", "fixed")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(or_list(arguments))
    with open_client(options) as client:
        match options.action:
            case "set":
                print_one(options, client.set_limit(options.key_of_limit, **_numbers(options)))
            case "show":
                print_one(options, client.limit(options.key_of_limit))
            case "delete":
                client.delete_limit(options.key_of_limit)
                print_one(options, {"key": options.key_of_limit, "deleted": True})
            case _:
                print_rows(options, client.limits(), COLUMNS, key="key")
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager limits", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="list | show | set | delete")
    listing = actions.add_parser("list", help="list limits, with who uses them")
    show = actions.add_parser("show", help="show one limit")
    setting = actions.add_parser("set", help="set the numbers of a limit for all jobs, at once")
    delete = actions.add_parser("delete", help="leave the numbers of a limit to its jobs again")
    for action in (show, setting, delete):
        action.add_argument("key_of_limit", metavar="LIMIT", help="its key, such as tenant:42")
    setting.add_argument("--concurrency", type=int, metavar="N", help="how many may run at a time")
    setting.add_argument("--rate", metavar="N/TIME", help="how many may begin in a time, such as 100/1m")
    setting.add_argument("--burst", type=int, metavar="N", help="with --rate: how many may begin at once (default 1)")
    for action in (listing, show, setting, delete):
        add_client_options(action, lists=action is listing)
    return parser


def _numbers(options: argparse.Namespace) -> dict[str, Any]:
    if options.concurrency is None and options.rate is None:
        raise UsageError("give --concurrency N, --rate N/TIME, or both")
    return {"concurrency": options.concurrency, "rate": options.rate, "burst": options.burst}
