"""`workmanager scaler`: what the scaler sees and decides; and what it is told."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workmanager.commands.arguments import client_parser, open_client
from workmanager.commands.output import print_fields, print_json, print_table
from workmanager.errors import UsageError

_VERBS = ("status", "log", "pause", "resume", "limits")


def main(arguments: Sequence[str]) -> int:
    parser = client_parser("scaler", __doc__)
    parser.add_argument("verb", choices=_VERBS, nargs="?", default="status")
    parser.add_argument("-n", "--lines", type=int, default=20, help="log: so many decisions (default 20)")
    parser.add_argument("--min", metavar="N", help="limits: workers at least; `default`: as the managers are set")
    parser.add_argument("--max", metavar="N", help="limits: workers at most")
    parser.add_argument("--budget", metavar="X", help="limits: what the fleet may cost an hour")
    options = parser.parse_args(arguments)
    limits = _limits(options)
    if limits and options.verb != "limits":
        raise UsageError("--min, --max and --budget go with `scaler limits`")
    with open_client(options) as system:
        if options.verb in ("status", "log"):
            scaler = system.scaler()
        elif options.verb == "limits":
            scaler = system.set_scaler_limits(limits) if limits else system.scaler()
        else:
            scaler = system.pause_scaler() if options.verb == "pause" else system.resume_scaler()
    _print(options, scaler)
    return 0


def _limits(options: argparse.Namespace) -> dict[str, int | float | None]:
    given = {"min_workers": options.min, "max_workers": options.max, "budget_per_hour": options.budget}
    return {name: _number(name, text) for name, text in given.items() if text is not None}


def _number(name: str, text: str) -> int | float | None:
    if text == "default":
        return None
    try:
        return float(text) if name == "budget_per_hour" else int(text)
    except ValueError:
        raise UsageError(f"{name}: {text!r} is neither a number nor `default`") from None


def _print(options: argparse.Namespace, scaler: Mapping[str, Any]) -> None:
    if options.verb == "log":
        decisions = list(reversed(scaler["decisions"][: options.lines]))
        for decision in decisions:
            print_json(decision) if options.json else print(f"{_clock(decision['at'])}  {decision['reason']}")
    elif options.json:
        print_json({name: scaler[name] for name in ("paused", "limits")} if options.verb != "status" else scaler)
    elif options.verb == "status":
        _print_status(scaler)
    else:
        print_fields({"paused": scaler["paused"], **scaler["limits"]})


def _print_status(scaler: Mapping[str, Any]) -> None:
    observation, launch_breaker = scaler["observation"] or {}, scaler["launch_breaker"]
    print_fields({"leader": scaler["leader"] or "nobody", "epoch": scaler["epoch"], "paused": scaler["paused"]})
    print_fields(
        {
            **scaler["limits"],
            "pending_launches": scaler["pending_launches"] or None,
            "decided": observation.get("reason"),
        }
    )
    if launch_breaker["cooldowns"] or launch_breaker["failed_boots"]:
        print_fields(
            {
                "cooldowns": sorted(launch_breaker["cooldowns"]),
                "failed_boots": launch_breaker["failed_boots"],
                "last_failure": launch_breaker["last_failure"],
            }
        )
    if scaler["instances"]:
        columns = ("id", "state", "age_seconds", "boot_seconds", "type", "zone", "market", "running", "reason")
        print_table(columns, [[instance[name] for name in columns] for instance in scaler["instances"]])


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
