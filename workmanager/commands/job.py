"""`workmanager job`: show one job."""

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client, positive_int
from workmanager.commands.output import print_fields, print_json


def main(arguments: Sequence[str]) -> int:
    parser = client_parser("job", __doc__)
    parser.add_argument("id", metavar="ID")
    parser.add_argument(
        "--wait", type=positive_int, metavar="SECONDS", help="wait until the job has ended (at most 55 s)"
    )
    options = parser.parse_args(arguments)
    with open_client(options) as client:
        job = client.job(options.id, wait_seconds=options.wait)
    print_json(job) if options.json else print_fields(job)
    return 0
