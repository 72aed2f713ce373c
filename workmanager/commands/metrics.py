"""`workmanager metrics`: print the metrics of a manager, as Prometheus reads them."""

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import print_json, printable


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        text = client.system.metrics()
    print_json(text) if options.json else print(printable(text), end="", flush=True)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    return client_parser("metrics", __doc__, fields=False)
