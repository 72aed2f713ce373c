"""`workmanager cancel`: cancel a waiting job, or stop a running one."""

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client
from workmanager.commands.output import print_fields, print_json


def main(arguments: Sequence[str]) -> int:
    parser = client_parser("cancel", __doc__)
    parser.add_argument("id", metavar="ID")
    options = parser.parse_args(arguments)
    with open_client(options) as client:
        job = client.cancel(options.id)
    print_json(job) if options.json else print_fields(job)
    return 0
