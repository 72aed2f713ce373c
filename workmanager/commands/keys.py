"""`workmanager keys`: create, list, roll and revoke API keys."""

import argparse
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client
from workmanager.commands.output import print_fields, print_json, print_table
from workmanager.errors import UsageError

SCOPES = ("jobs:write", "jobs:read", "results:pull", "admin")
COLUMNS = ("id", "scopes", "queues", "created_at", "created_by", "expires_at", "secrets")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.action is None:
        raise UsageError("give one of create, list, roll, revoke (see workmanager keys --help)")
    with open_client(options) as client:
        match options.action:
            case "create":
                _print_key(options, client.create_key(options.scope, options.queue or (), options.expires))
            case "roll":
                _print_key(options, client.roll_key(options.id, options.overlap))
            case "revoke":
                client.revoke_key(options.id)
                answer = {"id": options.id, "revoked": True}
                print_json(answer) if options.json else print_fields(answer)
            case _:
                _print_list(options, client.keys())
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(prog="workmanager keys", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="create | list | roll | revoke")
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
    revoke = actions.add_parser("revoke", help="revoke a key: within 5 seconds no manager accepts it")
    revoke.add_argument("id", metavar="ID")
    for action in (create, listing, roll, revoke):
        add_client_options(action)
    return parser


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90d, 24h, 30m or 45s")
    return int(match[1]) * _SECONDS[match[2]]


def _print_key(options: argparse.Namespace, key: Mapping[str, Any]) -> None:
    if options.json:
        print_json(key)
        return
    print_fields({name: _shown(name, key[name]) for name in ("id", "scopes", "queues", "expires_at", "key")})
    print("Keep the key now: it is not shown again.")


def _print_list(options: argparse.Namespace, keys: Sequence[Mapping[str, Any]]) -> None:
    if options.json:
        for key in keys:
            print_json(key)
    elif keys:
        print_table([name.upper() for name in COLUMNS], [[_shown(name, key[name]) for name in COLUMNS] for key in keys])


def _shown(name: str, value: Any) -> Any:
    if name in ("scopes", "queues"):
        return ",".join(value)
    if name in ("created_at", "expires_at") and value is not None:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return value
