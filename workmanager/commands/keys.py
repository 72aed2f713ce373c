"""`workmanager keys`: create, list, roll, limit and revoke API keys."""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client, or_list
from workmanager.commands.confirm import add_confirmation, confirm
from workmanager.commands.output import print_fields, print_line, print_one, print_rows
from workmanager.errors import UsageError

SCOPES = ("jobs:write", "jobs:read", "results:pull", "admin")
COLUMNS = ("id", "scopes", "queues", "created_at", "created_by", "expires_at", "secrets", "limits")

LIMITS = {
    "requests_per_second": ("N", "most requests a second, at each manager"),
    "jobs_per_second": ("N", "most jobs a second that are submitted, at each manager"),
    "payload_bytes": ("N", "most bytes of a job's data, and of its other arguments"),
    "waiting_jobs": ("N", "submit no more to a queue in which so many jobs wait"),
}

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(or_list(arguments))
    with open_client(options) as client:
        match options.action:
            case "create":
                key = client.create_key(options.scope, options.queue or (), options.expires, _limits(options))
                _print_new(options, key)
            case "roll":
                _print_new(options, client.roll_key(options.id, options.overlap))
            case "limit":
                limits = _limits(options)
                if not limits:
                    raise UsageError("give a limit to change, such as --requests-per-second 50")
                print_one(
                    options,
                    client.limit_key(options.id, limits),
                    lambda key: print_fields({"id": key["id"], **key["limits"]}),
                )
            case "revoke":
                confirm(options, f"revoke key {options.id}")
                client.revoke_key(options.id)
                print_one(options, {"id": options.id, "revoked": True})
            case _:
                print_rows(options, client.keys(), COLUMNS, shown=_shown)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager keys", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="create | list | roll | limit | revoke")
    create = actions.add_parser("create", help="create a key, and print it once")
    create.add_argument(
        "--scope", action="append", required=True, choices=SCOPES, help="what the key may do; repeat it for several"
    )
    create.add_argument(
        "--queue", action="append", metavar="NAME", help="bind the key to a queue, or to a pattern such as 'reports-*'"
    )
    create.add_argument("--expires", type=_duration, metavar="TIME", help="when it ends, such as 90d (default: never)")
    listing = actions.add_parser("list", help="list the keys, without their secrets")
    roll = actions.add_parser("roll", help="give a key a new secret, and print it once")
    roll.add_argument("id", metavar="ID")
    roll.add_argument(
        "--overlap", type=_duration, metavar="TIME", help="how long the secret before works on (default: 24h)"
    )
    limit = actions.add_parser("limit", help="change a key's limits; `none` removes one")
    limit.add_argument("id", metavar="ID")
    for action in (create, limit):
        for name, (metavar, help_text) in LIMITS.items():
            option = f"--{name.replace('_', '-')}"
            action.add_argument(option, type=_limit, default=argparse.SUPPRESS, metavar=metavar, help=help_text)
    revoke = actions.add_parser("revoke", help="revoke a key: within 5 seconds no manager accepts it")
    revoke.add_argument("id", metavar="ID")
    add_confirmation(revoke)
    for action in (create, roll):
        action.add_argument("-q", "--quiet", action="store_true", help="print nothing but the key, for scripts")
    for action in (create, listing, roll, limit, revoke):
        add_client_options(action, lists=action is listing)
    return parser


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90d, 24h, 30m or 45s")
    return int(match[1]) * _SECONDS[match[2]]


def _limit(text: str) -> float | None:
    if text == "none":
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number above 0 nor `none`")
    return number


def _limits(options: argparse.Namespace) -> dict[str, float | None]:
    return {name: getattr(options, name) for name in LIMITS if hasattr(options, name)}


def _print_new(options: argparse.Namespace, key: Mapping[str, Any]) -> None:
    if options.quiet:
        print_line(key["key"])
    else:
        print_one(options, key, _show_new)


def _show_new(key: Mapping[str, Any]) -> None:
    print_fields({name: _shown(name, key[name]) for name in ("id", "scopes", "queues", "expires_at", "limits", "key")})
    print("Keep the key now: it is not shown again.")


def _shown(name: str, value: Any) -> Any:
    if name in ("scopes", "queues"):
        return ",".join(value)
    if name == "limits":
        return ",".join(f"{limit}={number:.12g}" for limit, number in value.items() if number is not None)
    if name in ("created_at", "expires_at") and value is not None:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return value
