"""`workmanager requeue`: run an ended job again, or all failed jobs of a queue."""

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client
from workmanager.commands.output import print_fields, print_json
from workmanager.errors import UsageError


def main(arguments: Sequence[str]) -> int:
    parser = client_parser("requeue", __doc__)
    parser.add_argument("id", nargs="?", metavar="ID", help="an ended job")
    parser.add_argument("--queue", metavar="NAME", help="with --failed: a queue")
    parser.add_argument("--failed", action="store_true", help="requeue all failed jobs of the queue")
    options = parser.parse_args(arguments)
    if bool(options.id) == bool(options.queue) or bool(options.queue) != options.failed:
        raise UsageError("give either an ID, or --queue NAME --failed (see workmanager requeue --help)")
    with open_client(options) as client:
        answer = client.requeue(options.id) if options.id else client.requeue_failed(options.queue)
    print_json(answer) if options.json else print_fields(answer)
    return 0
