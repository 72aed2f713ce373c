"""`workmanager operations`: requeue, cancel or delete all jobs that match; list, show and cancel such operations."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client, or_list, positive_int
from workmanager.commands.confirm import add_confirmation, confirm
from workmanager.commands.output import print_one, print_rows
from workmanager.errors import UsageError

if TYPE_CHECKING:
    from workmanager.client import Client

ACTIONS = ("requeue", "cancel", "delete")
DESTRUCTIVE = ("cancel", "delete")
FILTERS = ("status", "queue", "function", "label", "reason")
COLUMNS = ("id", "action", "filter", "status", "matched", "changed", "refused", "created_at")
POLL_SECONDS = 0.5


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(or_list(arguments))
    with open_client(options) as client:
        match options.verb:
            case "start":
                job_filter = {name: getattr(options, name) for name in FILTERS}
                if not any(job_filter.values()):
                    raise UsageError(f"say which jobs: give at least one of --{', --'.join(FILTERS)}")
                if options.label is not None:
                    job_filter["label"] = options.label.replace("=", ":", 1)
                if options.action in DESTRUCTIVE and not options.dry_run:
                    confirm(options, f"{options.action} all jobs with {_cell('filter', _given(job_filter))}")
                operation = client.operations.start(options.action, dry_run=options.dry_run, **job_filter)
                is_awaited = options.wait or options.dry_run  # What a dry run counts is told at its end.
                print_one(options, _wait(client, operation) if is_awaited else operation)
            case "list":
                print_rows(options, client.operations.list(options.limit), COLUMNS, shown=_cell)
            case "show":
                print_one(options, client.operations.show(options.id))
            case _:
                print_one(options, client.operations.cancel(options.id))
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager operations", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", metavar="start | list | show | cancel")
    start = verbs.add_parser("start", help="requeue, cancel or delete all jobs that match everything that is given")
    start.add_argument("action", choices=ACTIONS)
    start.add_argument("--status", help="jobs with this status (default: all that the action can change)")
    start.add_argument("--queue", metavar="NAME", help="jobs of this queue")
    start.add_argument("--function", metavar="NAME", help="jobs that call this function")
    start.add_argument("--label", metavar="NAME=VALUE", help="jobs with this label")
    start.add_argument("--reason", help="jobs that failed for this reason: exception, timeout, worker_lost, rejected")
    add_confirmation(start, dry_run="only count them")
    start.add_argument("--wait", action="store_true", help="wait until it has ended")
    start.add_argument("-q", "--quiet", action="store_true", help="print nothing but its id, for scripts")
    listing = verbs.add_parser("list", help="list operations, the latest first")
    listing.add_argument("--limit", type=positive_int, default=20, metavar="N", help="list at most N (default 20)")
    show = verbs.add_parser("show", help="show how far an operation has come")
    cancel = verbs.add_parser("cancel", help="let an operation end; what it has changed, stays so")
    for verb in (show, cancel):
        verb.add_argument("id", metavar="ID")
    for verb in (start, listing, show, cancel):
        add_client_options(verb, lists=verb is listing)
    return parser


def _wait(client: "Client", operation: Mapping[str, Any]) -> Mapping[str, Any]:
    while operation["ended_at"] is None:
        time.sleep(POLL_SECONDS)
        operation = client.operations.show(operation["id"])
    return operation


def _given(job_filter: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: value for name, value in job_filter.items() if value is not None}


def _cell(name: str, value: Any) -> Any:
    return " ".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, dict) else value
