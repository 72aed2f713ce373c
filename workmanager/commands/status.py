"""`workmanager status`: count jobs and workers."""

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client
from workmanager.commands.output import print_fields, print_json


def main(arguments: Sequence[str]) -> int:
    options = client_parser("status", __doc__).parse_args(arguments)
    with open_client(options) as client:
        status = client.status()
    print_json(status) if options.json else print_fields(status)
    return 0
