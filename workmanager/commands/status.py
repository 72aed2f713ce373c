"""`workmanager status`: what the system holds now."""

from __future__ import annotations

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client
from workmanager.commands.output import print_fields, print_json


def main(arguments: Sequence[str]) -> int:
    options = client_parser("status", __doc__).parse_args(arguments)
    with open_client(options) as system:
        status = system.status()
    print_json(status) if options.json else print_fields(status)
    return 0
