"""`workmanager queues`: list the queues with their jobs, or pause and resume one."""

from collections.abc import Sequence

from workmanager.commands.arguments import client_parser, open_client
from workmanager.commands.output import print_fields, print_json, print_table
from workmanager.errors import UsageError

COLUMNS = ("name", "served", "paused", "queued", "scheduled", "started", "failed", "oldest_seconds")


def main(arguments: Sequence[str]) -> int:
    parser = client_parser("queues", __doc__)
    parser.add_argument("action", choices=("list", "pause", "resume"), nargs="?", default="list", help="default: list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="with pause or resume: a queue")
    options = parser.parse_args(arguments)
    if (options.action == "list") != (options.name is None):
        raise UsageError(f"give {'no NAME to list' if options.name else 'the NAME of a queue'}, see --help")
    with open_client(options) as client:
        if options.action != "list":
            change = client.pause_queue if options.action == "pause" else client.resume_queue
            answer = change(options.name)
            print_json(answer) if options.json else print_fields(answer)
            return 0
        queues = client.queues()
    if options.json:
        for queue in queues:
            print_json(queue)
    elif queues:
        print_table([name.upper() for name in COLUMNS], [[queue.get(name) for name in COLUMNS] for queue in queues])
    return 0
