"""`workmanager events`: show what happens to a job, or to all jobs, as it happens."""

import itertools
import json
from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_json, print_line, select_fields
from workmanager.errors import UsageError


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    filters = (options.queue, options.status, options.label)
    if options.id is not None and any(each is not None for each in filters):
        raise UsageError("--queue, --status and --label choose among all jobs: give them without an ID")
    with open_client(options) as client:
        if options.id is not None:
            events = client.events(options.id)
        else:
            label = None if options.label is None else options.label.replace("=", ":", 1)
            events = client.changes(queue=options.queue, status=options.status, label=label)
        for event in itertools.islice(events, options.count):
            if options.json:
                print_json(select_fields(event, options.fields))
            else:
                shown = select_fields(event["data"], options.fields)
                print_line(f"{event['event']:<10}{json.dumps(shown, ensure_ascii=False)}")
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("events", __doc__)
    parser.add_argument("id", metavar="ID", nargs="?", help="of a job, shown until it has ended; default: all jobs")
    parser.add_argument("--queue", metavar="NAME", help="only changes of jobs of this queue")
    parser.add_argument("--status", help="only changes to queued, started, finished, failed, ..., or deleted")
    parser.add_argument("--label", metavar="NAME=VALUE", help="only changes of jobs with this label")
    parser.add_argument("--count", type=positive_int, metavar="N", help="end after so many events")
    return parser
