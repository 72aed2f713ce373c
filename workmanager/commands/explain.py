"""`workmanager explain`: say why a job does not run."""

from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import print_line, print_one


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        print_one(options, client.explain(options.id), lambda answer: print_line(answer["sentence"]))
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("explain", __doc__)
    parser.add_argument("id", metavar="ID")
    return parser
