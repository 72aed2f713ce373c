"""`workmanager schedule`: list, show, put, delete, pause, resume, trigger and preview schedules, or apply a file."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client, or_list
from workmanager.commands.confirm import add_confirmation, confirm
from workmanager.commands.job_options import add_job_options, job_options
from workmanager.commands.output import print_error, print_fields, print_line, print_one, print_rows, print_table
from workmanager.commands.schedule_file import apply_file
from workmanager.http.submission import Submission, job_json

if TYPE_CHECKING:
    from workmanager.http.schedules import Schedules

ACTIONS = "list | show | put | delete | pause | resume | trigger | preview | apply"
COLUMNS = ("name", "description", "next", "last", "runs", "missed", "paused")
HISTORY_COLUMNS = ("instant", "outcome", "job_id", "count", "late_seconds")
MAX_SHOWN_RUNS = 10


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(or_list(arguments))
    with open_client(options) as client:
        schedules = client.schedules
        match options.action:
            case "list":
                _list(schedules, options)
            case "show":
                print_one(options, schedules.show(options.name), _show)
            case "put":
                saved = schedules.put(options.name, _body(options), dry_run=options.dry_run)
                names = ("name", "outcome", "description", "next", "warning")
                print_one(options, saved, lambda it: print_fields({name: it.get(name) for name in names}))
            case "delete":
                confirm(options, f"delete schedule {options.name}")
                schedules.delete(options.name)
                print_one(options, {"name": options.name, "deleted": True})
            case "pause" | "resume":
                name, note = options.name, options.note or ""
                changed = schedules.pause(name, note) if options.action == "pause" else schedules.resume(name)
                shown = ("name", "paused", "next")
                print_one(options, changed, lambda it: print_fields({each: it[each] for each in shown}))
            case "trigger":
                job_id = schedules.trigger(options.name)
                print_one(options, {"id": job_id}, lambda it: print_line(it["id"]))
            case "preview":
                print_one(options, schedules.preview(options.cron, options.timezone, options.limit), _preview)
            case _:
                return apply_file(schedules, options)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager schedule", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar=ACTIONS)
    made = [
        actions.add_parser("list", help="list the schedules"),
        actions.add_parser("show", help="show a schedule: what comes, and what it has done"),
        _add_put(actions.add_parser("put", help="create or change a schedule")),
        actions.add_parser("delete", help="delete a schedule; its jobs stay"),
        actions.add_parser("pause", help="let a schedule run no more"),
        actions.add_parser("resume", help="end a pause"),
        actions.add_parser("trigger", help="run a schedule now, and print the job's id"),
        _add_preview(actions.add_parser("preview", help="show when a cron expression runs")),
        _add_apply(actions.add_parser("apply", help="make the schedules those of a file: others are deleted")),
    ]
    for action in made:
        name = action.prog.rpartition(" ")[2]
        if name in ("show", "delete", "pause", "resume", "trigger"):
            action.add_argument("name", metavar="NAME")
        if name in ("pause", "resume"):
            action.add_argument("--note", help="why" if name == "pause" else argparse.SUPPRESS)
        if name == "delete":
            add_confirmation(action)
        add_client_options(action, lists=name == "list")
    return parser


def _add_put(put: CommandParser) -> CommandParser:
    put.add_argument("name", metavar="NAME")
    timing = put.add_mutually_exclusive_group(required=True)
    timing.add_argument("--cron", metavar="EXPRESSION", help="such as '30 2 * * *', or @daily")
    timing.add_argument("--every", metavar="TIME", help="an interval such as 15m")
    put.add_argument("--timezone", metavar="ZONE", help="of the expression, such as Europe/Berlin (default: UTC)")
    put.add_argument("--overlap", choices=("skip", "queue", "allow", "replace"), help="default: skip")
    put.add_argument("--catch-up", metavar="TIME", help="how late a run may be (default: 1h)")
    put.add_argument("--catch-up-runs", choices=("latest", "all"), help="of several late runs (default: latest)")
    put.add_argument("--jitter", metavar="TIME", help="runs are later by a part of it")
    put.add_argument("--start", metavar="TIME", help="no run before it: 2030-01-31T08:00:00Z")
    put.add_argument("--end", metavar="TIME", help="no run after it")
    put.add_argument("--max-runs", type=int, metavar="N", help="end after N runs")
    put.add_argument("--dry-run", action="store_true", help="only check it")
    put.add_argument("--function", metavar="NAME", required=True, help="function that the job calls")
    add_job_options(put)
    return put


def _add_preview(preview: CommandParser) -> CommandParser:
    preview.add_argument("cron", metavar="EXPRESSION")
    preview.add_argument("--timezone", metavar="ZONE", help="default: UTC")
    preview.add_argument("--limit", type=int, metavar="N", help="number of instants (default: 10)")
    return preview


def _add_apply(apply: CommandParser) -> CommandParser:
    apply.add_argument("file", metavar="FILE", help="YAML, see docs/schedules.md; - for standard input")
    add_confirmation(apply, dry_run="only check the file, and say what would change")
    return apply


def _body(options: argparse.Namespace) -> dict[str, Any]:
    names = ("cron", "every", "timezone", "overlap", "jitter", "start", "end", "max_runs")
    body = {name: value for name in names if (value := getattr(options, name)) is not None}
    catch_up = {"within": options.catch_up, "runs": options.catch_up_runs}
    if given := {name: value for name, value in catch_up.items() if value is not None}:
        body["catch_up"] = given
    submission: Submission = {"function": options.function, **job_options(options)}
    return body | {"job": json.loads(job_json(submission))}


def _list(schedules: "Schedules", options: argparse.Namespace) -> None:
    answer = schedules.list()
    print_rows(options, answer["schedules"], COLUMNS, key="name", shown=_shown)
    for each in answer["unreadable"]:
        print_error(f"workmanager: {each['name']}: {each['problem']}")
    if answer["shards_unavailable"]:
        silent = answer["shards_unavailable"]
        print_error(f"workmanager: shards that do not answer: {silent}; their schedules are missing")


def _show(schedule: Mapping[str, Any]) -> None:
    lists = ("upcoming", "clock_changes", "history")
    print_fields({name: value for name, value in schedule.items() if name not in lists})
    _print_instants("comes", schedule["upcoming"])
    _print_instants("clocks", schedule["clock_changes"])
    if schedule["history"]:
        rows = [[row[name] for name in HISTORY_COLUMNS] for row in schedule["history"][:MAX_SHOWN_RUNS]]
        print_table([name.upper() for name in HISTORY_COLUMNS], rows)


def _preview(preview: Mapping[str, Any]) -> None:
    print_line(preview["description"])
    _print_instants("", preview["instants"])
    _print_instants("clocks", preview["clock_changes"])


def _print_instants(label: str, instants: Sequence[Mapping[str, Any]]) -> None:
    for instant in instants:
        print_line("  ".join(part for part in (label, instant["at"], instant["note"]) if part))


def _shown(name: str, value: Any) -> Any:
    return (value["note"] or "yes") if name == "paused" and value is not None else value
