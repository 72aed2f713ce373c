"""`workmanager scaler`: show what the scaler observes and decides, pause it, or set its limits."""

import argparse
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_fields, print_line, print_one, print_table
from workmanager.errors import UsageError

DEFAULT_LINES = 20
ACTIONS = ("status", "log", "pause", "resume", "limits")
INSTANCE_COLUMNS = ("id", "state", "age_seconds", "boot_seconds", "type", "zone", "market", "running", "reason")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    limits = _limits(options)
    if limits and options.action != "limits":
        raise UsageError("--min, --max and --budget work only with `workmanager scaler limits`")
    if options.lines is not None and options.action != "log":
        raise UsageError("-n works only with `workmanager scaler log`")
    with open_client(options) as client:
        if options.action in ("status", "log"):
            scaler = client.scaler()
        elif options.action == "limits":
            scaler = client.set_scaler_limits(limits) if limits else client.scaler()
        else:
            scaler = client.pause_scaler() if options.action == "pause" else client.resume_scaler()
    _print(options, scaler)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("scaler", __doc__)
    parser.add_argument("action", choices=ACTIONS, nargs="?", default="status", help="default: status")
    parser.add_argument(
        "-n",
        "--lines",
        type=positive_int,
        metavar="N",
        help=f"log: show N decisions (default {DEFAULT_LINES})",
    )
    parser.add_argument("--min", metavar="N", help="limits: fewest workers; `default` restores the managers' setting")
    parser.add_argument("--max", metavar="N", help="limits: most workers, or `default`")
    parser.add_argument("--budget", metavar="X", help="limits: most cost per hour, or `default`")
    return parser


def _limits(options: argparse.Namespace) -> dict[str, int | float | None]:
    """Return the limits to set; None restores the managers' setting."""
    texts = {"min_workers": options.min, "max_workers": options.max, "budget_per_hour": options.budget}
    option_of = {"min_workers": "--min", "max_workers": "--max", "budget_per_hour": "--budget"}
    limits = {name: _number(option_of[name], text) for name, text in texts.items() if text is not None}
    fewest, most = limits.get("min_workers"), limits.get("max_workers")
    if fewest is not None and most is not None and fewest > most:
        raise UsageError(f"--min {fewest} is more than --max {most}")
    return limits


def _number(option: str, text: str) -> int | float | None:
    if text == "default":
        return None
    try:
        number = float(text) if option == "--budget" else int(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise UsageError(f"{option}: {text!r} is neither a number from 0 nor `default`")
    return number


def _print(options: argparse.Namespace, scaler: Mapping[str, Any]) -> None:
    if options.action == "log":
        for decision in reversed(scaler["decisions"][: options.lines or DEFAULT_LINES]):
            print_one(options, decision, lambda it: print_line(f"{_utc(it['at'])}  {it['reason']}"))
    elif options.action == "status":
        print_one(options, scaler, _print_status)
    else:
        changed = {name: scaler[name] for name in ("paused", "limits")}
        print_one(options, changed, lambda it: print_fields({"paused": it["paused"], **it["limits"]}))


def _print_status(scaler: Mapping[str, Any]) -> None:
    observation, breaker = scaler["observation"] or {}, scaler["launch_breaker"]
    fields = {
        "leader": scaler["leader"] or "none",
        "epoch": scaler["epoch"],
        "paused": scaler["paused"],
        **scaler["limits"],
        "pending_launches": scaler["pending_launches"] or None,
        "decision": observation.get("reason"),
    }
    if breaker["cooldowns"] or breaker["failed_boots"]:
        fields |= {
            "cooldowns": sorted(breaker["cooldowns"]),
            "failed_boots": breaker["failed_boots"],
            "last_failure": breaker["last_failure"],
        }
    print_fields(fields)
    if scaler["instances"]:
        rows = [[instance[name] for name in INSTANCE_COLUMNS] for instance in scaler["instances"]]
        print_table([name.upper() for name in INSTANCE_COLUMNS], rows)


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
