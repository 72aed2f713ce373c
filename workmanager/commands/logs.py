"""`workmanager logs`: show what a job has logged, and follow it."""

import time
from collections.abc import Sequence

from workmanager.commands.arguments import CommandParser, client_parser, open_client
from workmanager.commands.output import counted, print_error, print_line, print_one, printable

FOLLOW_SECONDS = 0.5


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    after, last = None, 0
    with open_client(options) as client:
        while True:
            page = client.logs(options.id, after)
            for line in page["lines"]:
                number = line["number"] or last + 1
                if (missing := number - last - 1) > 0:
                    are = "is" if missing == 1 else "are"
                    print_error(f"workmanager: {counted(missing, 'line')} {are} not kept any more")
                last = number
                print_one(options, line, lambda it: print_line(f"{it['at']}  {printable(it['text'])}"))
            after = page["after"]
            # A full page may not be the last one.
            if not page["lines"] and (page["ended"] or not options.follow):
                return 0
            if not page["lines"]:
                time.sleep(FOLLOW_SECONDS)


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("logs", __doc__)
    parser.add_argument("id", metavar="ID", help="of the job")
    parser.add_argument("-f", "--follow", action="store_true", help="wait for further lines until the job has ended")
    return parser
