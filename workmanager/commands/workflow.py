"""`workmanager workflow`: submit, show, cancel and retry graphs of jobs."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client
from workmanager.commands.output import print_fields, print_one, print_table
from workmanager.errors import UsageError


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    if options.action is None:
        raise UsageError("give one of submit, show, cancel, retry (see workmanager workflow --help)")
    with open_client(options) as client:
        match options.action:
            case "submit":
                body = _read(options.file)
                answer = client.submit_workflow(body["jobs"], finally_=body.get("finally"), workflow_id=body.get("id"))
                print_one(options, answer, lambda it: print_fields({"id": it["id"], "jobs": len(it["jobs"])}))
            case "show":
                print_one(options, client.workflow(options.id), _show)
            case "cancel":
                print_one(options, client.cancel_workflow(options.id))
            case _:
                print_one(options, client.retry_workflow(options.id))
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager workflow", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="submit | show | cancel | retry")
    submit = actions.add_parser("submit", help="submit the workflow in a file: all of its jobs, or none")
    submit.add_argument("file", metavar="FILE", help='JSON: {"jobs": {NAME: {…, "depends_on": [NAME]}}}; - for stdin')
    submit.add_argument("-q", "--quiet", action="store_true", help="print nothing but its id, for scripts")
    show = actions.add_parser("show", help="show the status of each job")
    cancel = actions.add_parser("cancel", help="cancel all jobs that have not ended; `finally` runs")
    retry = actions.add_parser("retry", help="run again what did not finish, and what waited for it")
    for action in (show, cancel, retry):
        action.add_argument("id", metavar="ID", help="of the workflow")
    for action in (submit, show, cancel, retry):
        add_client_options(action)
    return parser


def _read(name: str) -> Mapping[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        body = json.loads(text)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("jobs"), dict):
        raise UsageError(f'{name} is not a workflow: {{"jobs": {{NAME: {{"function": …}}}}}}')
    unknown = sorted(body.keys() - {"jobs", "finally", "id"})
    if unknown:
        raise UsageError(f"{name}: a workflow has no {', '.join(unknown)}, only jobs, finally and id")
    return body


def _show(workflow: Mapping[str, Any]) -> None:
    print_fields({name: workflow[name] for name in ("id", "status", "created_at")})
    print_table(
        ("JOB", "STATUS", "ID", "WAITS FOR"),
        [
            (name, job["status"] or "(expired)", job["id"], _parents(job["depends_on"]))
            for name, job in workflow["jobs"].items()
        ],
    )


def _parents(parents: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(each["job"] + (" (any end)" if each["when"] == "ended" else "") for each in parents)
