"""`workmanager workflow`: submit, show, cancel and retry graphs of jobs."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client
from workmanager.commands.output import print_fields, print_json, print_table
from workmanager.errors import UsageError


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.action is None:
        raise UsageError("give one of submit, show, cancel, retry (see workmanager workflow --help)")
    with open_client(options) as client:
        match options.action:
            case "submit":
                body = _read(options.file)
                answer = client.submit_workflow(body["jobs"], finally_=body.get("finally"), workflow_id=body.get("id"))
                print_json(answer) if options.json else print_fields({"id": answer["id"], "jobs": len(answer["jobs"])})
            case "show":
                _print(options, client.workflow(options.id))
            case "cancel":
                _print_outcome(options, client.cancel_workflow(options.id))
            case _:
                _print_outcome(options, client.retry_workflow(options.id))
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="workmanager workflow", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="submit | show | cancel | retry")
    submit = actions.add_parser("submit", help="submit the workflow in a file: all of its jobs, or none")
    submit.add_argument("file", metavar="FILE", help='JSON: {"jobs": {NAME: {…, "depends_on": [NAME]}}}; - for stdin')
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


def _print(options: argparse.Namespace, workflow: Mapping[str, Any]) -> None:
    if options.json:
        print_json(workflow)
        return
    print_fields({name: workflow[name] for name in ("id", "status", "created_at")})
    print_table(
        ("job", "status", "id", "waits for"),
        [
            (name, job["status"] or "(expired)", job["id"], _parents(job["depends_on"]))
            for name, job in workflow["jobs"].items()
        ],
    )


def _parents(parents: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(each["job"] + (" (any end)" if each["when"] == "ended" else "") for each in parents)


def _print_outcome(options: argparse.Namespace, outcome: Mapping[str, Any]) -> None:
    print_json(outcome) if options.json else print_fields(outcome)
