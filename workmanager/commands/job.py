"""`workmanager job`: show one job."""

from collections.abc import Mapping, Sequence
from typing import Any

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_fields, print_one, printable


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        print_one(options, client.job(options.id, wait_seconds=options.wait), print_job)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("job", __doc__)
    parser.add_argument("id", metavar="ID")
    parser.add_argument(
        "--wait", type=positive_int, metavar="SECONDS", help="wait until the job has ended (at most 55 s)"
    )
    return parser


def print_job(job: Mapping[str, Any]) -> None:
    """Print a job for people: its fields, then the errors of its attempts and its traceback in lines of their own."""
    error, attempts = job.get("error"), job.get("attempt_errors") or []
    print_fields({name: value for name, value in job.items() if name not in ("error", "attempt_errors")})
    if len(attempts) > bool(error):
        print(f"\n{len(attempts)} failed attempt{'s' if len(attempts) > 1 else ''}:")
        for attempt in attempts:
            first_line = str(attempt.get("message")).partition("\n")[0]
            print(printable(f"  {attempt.get('ended_at')}  {attempt.get('reason')}: {first_line}"))
    if error:
        message, traceback = str(error.get("message")), str(error.get("traceback") or "")
        print(printable(f"\nerror: {error.get('reason')}: {message}"))
        if traceback and traceback != message:
            print(printable(traceback))
