"""`workmanager cancel`: cancel waiting jobs, and stop running ones. `requeue` runs them again."""

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.ids import add_ids, change_each, read_ids


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    ids = read_ids(options.id)
    with open_client(options) as client:
        return change_each(options, ids, client.cancel, "cancel")


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("cancel", __doc__)
    add_ids(parser)
    return parser
