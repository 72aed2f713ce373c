"""`workmanager ack`: acknowledge results that were pulled with a lease, so that they are not delivered again."""

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client


def main(arguments: Sequence[str]) -> int:
    parser = client_parser("ack", __doc__)
    parser.add_argument("id", nargs="+", metavar="ID")
    options = parser.parse_args(arguments)
    with open_client(options) as client:
        client.ack(options.id)
    return 0
