"""`workmanager cancel`: takes a waiting job out, or ends a running one."""

from __future__ import annotations

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client
from workmanager.commands.output import print_fields, print_json


def main(arguments: Sequence[str]) -> int:
    parser = client_parser("cancel", __doc__)
    parser.add_argument("id", metavar="ID")
    options = parser.parse_args(arguments)
    with open_client(options) as system:
        answer = system.cancel(options.id)
    print_json(answer) if options.json else print_fields(answer)
    return 0
