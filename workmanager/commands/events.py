"""`workmanager events`: show what happens to a job as it happens, until it has ended."""

import json
from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import print_json, print_line, select_fields


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        for event in client.events(options.id):
            if options.json:
                print_json(select_fields(event, options.fields))
            else:
                shown = select_fields(event["data"], options.fields)
                print_line(f"{event['event']:<10}{json.dumps(shown, ensure_ascii=False)}")
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("events", __doc__)
    parser.add_argument("id", metavar="ID", help="of the job")
    return parser
