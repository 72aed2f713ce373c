"""`workmanager schedule apply FILE`: make the schedules those of a file, so that a repository can own them.

The whole file is checked before anything is changed. A schedule that is not in the file is deleted.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workmanager.commands.confirm import confirm
from workmanager.commands.output import print_error, print_line, print_one
from workmanager.errors import ClientError, UsageError, WorkManagerError

if TYPE_CHECKING:
    from workmanager.http.schedules import Schedules


def apply_file(schedules: "Schedules", options: argparse.Namespace) -> int:
    """Apply a file; print a line for each schedule. Return 1 if the file has one that is refused: nothing is changed.

    Raises:
        UsageError: the file cannot be read, or is no list of schedules.
        WorkManagerError: not all schedules that there are could be read, or deleting some was not confirmed: none is
            changed.
    """
    wanted = read_schedule_file(options.file)
    present = schedules.list()
    if present["shards_unavailable"]:
        raise WorkManagerError("some shards do not answer, so not all schedules are known: nothing was changed")
    names = {each["name"] for each in (*present["schedules"], *present["unreadable"])}
    outcomes: dict[str, str] = {}
    refused = False
    for name, body in wanted.items():
        try:
            outcomes[name] = str(schedules.put(name, body, dry_run=True)["outcome"])
        except ClientError as error:
            if error.status is None or error.status >= 500:
                raise
            refused = True
            print_error(f"workmanager: {name}: {error}")
    if refused:
        print_error("workmanager: nothing was changed")
        return 1
    unwanted = sorted(names - wanted.keys())
    outcomes |= dict.fromkeys(unwanted, "deleted")
    if unwanted and not options.dry_run:
        confirm(options, f"delete schedules that are not in the file ({', '.join(unwanted)})")
    for name, outcome in outcomes.items():
        if not options.dry_run:
            if outcome == "deleted":
                schedules.delete(name)
            elif outcome != "same":
                schedules.put(name, wanted[name])
        print_one(options, {"name": name, "outcome": outcome}, lambda it: print_line(f"{it['name']}: {it['outcome']}"))
    return 0


def read_schedule_file(path: str) -> dict[str, Mapping[str, Any]]:
    """Return the schedules of a YAML file by name, as `PUT /schedules/{name}` takes them.

    Raises:
        UsageError: it cannot be read, or is no list of schedules.
    """
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    document = _parse(text, path)
    schedules = document.get("schedules") if isinstance(document, dict) else None
    if not isinstance(schedules, dict) or len(document) != 1:
        raise UsageError(f"{path} must have one entry, `schedules`: a mapping of names to schedules, {{}} for none")
    for name, body in schedules.items():
        if not isinstance(name, str) or not isinstance(body, dict):
            raise UsageError(f"{path}: schedule {name!r} is not a mapping of fields with a text for a name")
    return {name: _plain(body) for name, body in schedules.items()}


def _parse(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    from processes.yaml_text import parse_yaml  # Here, because no other command needs YAML.

    try:
        return parse_yaml(text)
    except ValueError as error:
        hint = "put expressions such as '*/5 * * * *' and '@daily' in quotes"
        raise UsageError(f"{path} is not valid YAML ({hint}): {error}") from error


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: YAML reads times as dates."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime | date):
        text = value.isoformat()
        return text.replace("+00:00", "Z")
    return value
