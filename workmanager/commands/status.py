"""`workmanager status`: count jobs and workers, in all and by queue."""

from collections.abc import Mapping, Sequence
from typing import Any

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import print_fields, print_line, print_one, print_table


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        print_one(options, client.status(), _print)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    return client_parser("status", __doc__)


def _print(status: Mapping[str, Any]) -> None:
    shards = status.get("shards") or {}
    unavailable = f"{shards['unavailable']} of {shards['total']}" if shards.get("unavailable") else None
    counts = {name: value for name, value in status.items() if name not in ("queues", "shards", "problems")}
    print_fields({**counts, "shards unavailable": unavailable})
    for problem in status.get("problems") or ():
        print_line(f"problem: {problem}")
    queues = list((status.get("queues") or {}).items())
    if queues:
        columns = list(dict.fromkeys(name for _, queue in queues for name in queue if name != "name"))
        print()
        print_table(["queue", *columns], [[name, *map(queue.get, columns)] for name, queue in queues])
