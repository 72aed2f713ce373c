"""`workmanager callbacks`: list and show callbacks, and send them again."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from workmanager.commands.arguments import CommandParser, add_client_options, open_client, or_list, positive_int
from workmanager.commands.output import print_fields, print_one, print_rows

STATUSES = ("waiting", "failing", "delivered", "dead")
COLUMNS = ("id", "event", "host", "status", "tries", "next_attempt_at", "last_attempt")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(or_list(arguments))
    with open_client(options) as client:
        match options.action:
            case "show":
                print_one(options, client.callbacks.show(options.id), _show)
            case "retry":
                print_one(options, client.callbacks.retry(options.id), _show)
            case "replay":
                print_one(options, {"callbacks": client.callbacks.replay(since=options.since, host=options.host)})
            case _:
                found = client.callbacks.list(
                    status=options.status, host=options.host, page_size=min(options.limit, 1000)
                )
                print_rows(options, islice(found, options.limit), COLUMNS, shown=_shown, truncate=False)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser(prog="workmanager callbacks", description=__doc__)
    actions = parser.add_subparsers(dest="action", metavar="list | show | retry | replay")
    listing = actions.add_parser("list", help="list callbacks, the latest first")
    listing.add_argument("--status", choices=STATUSES, help="only these; failing: to be tried again, dead: given up")
    listing.add_argument("--limit", type=positive_int, default=100, metavar="N", help="at most N (default 100)")
    show = actions.add_parser("show", help="show a callback and its attempts")
    retry = actions.add_parser("retry", help="send a callback at once, with all its attempts")
    for action in (show, retry):
        action.add_argument("id", metavar="ID")
    replay = actions.add_parser("replay", help="send all callbacks again that were given up")
    replay.add_argument(
        "--since", type=_instant, metavar="TIME", help="those that were given up then or later: 2030-01-31T08:00:00Z"
    )
    for action in (listing, replay):
        action.add_argument("--host", metavar="NAME:PORT", help="only those for this host and port")
    for action in (listing, show, retry, replay):
        add_client_options(action, lists=action is listing)
    return parser


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time with a time zone, such as 2030-01-31T08:00:00Z")
    return instant


def _show(callback: Mapping[str, Any]) -> None:
    shown = {name: value for name, value in callback.items() if name not in ("attempts", "last_attempt")}
    print_fields(shown | {"attempts": "\n".join(map(_attempt, callback["attempts"])) or None})


def _shown(name: str, value: Any) -> Any:
    return _outcome(value) if name == "last_attempt" else value


def _attempt(attempt: Mapping[str, Any]) -> str:
    return f"{attempt['at']}  {attempt['milliseconds']} ms  {_outcome(attempt)}  {' '.join(attempt['answer'].split())}"


def _outcome(attempt: Mapping[str, Any] | None) -> str:
    return "" if attempt is None else str(attempt["error"] or attempt["status"] or "")
