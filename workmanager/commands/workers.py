"""`workmanager workers`: list the workers: what they serve, what they run, and whether they are heard of."""

from collections.abc import Sequence
from typing import Any

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import print_rows

COLUMNS = ("name", "state", "running", "slots", "queues", "finished", "failed", "seconds_since_heartbeat", "problems")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        print_rows(options, client.system.workers(), COLUMNS, key="name", shown=_shown)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    return client_parser("workers", __doc__, lists=True)


def _shown(name: str, value: Any) -> Any:
    if name in ("queues", "problems"):
        return ",".join(value)
    return round(value, 1) if isinstance(value, float) else value
