"""`workmanager listen`: print callbacks of jobs whose URL is `listen:NAME`, or forward them to a URL on this machine.

For machines that managers cannot reach. What could not be forwarded (no answer, or none with 2xx) comes again after a
minute.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workmanager.client import Client
from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_error, print_json, print_line
from workmanager.errors import UsageError

if TYPE_CHECKING:
    import httpx

WAIT_SECONDS = 40
DEFAULT_NAME = "default"
FORWARD_SECONDS = 30


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    if options.forward is not None and not options.forward.lower().startswith(("http://", "https://")):
        raise UsageError(f"{options.forward!r} is not a URL such as http://127.0.0.1:8000/hook")
    with open_client(options) as client:
        print_error(f"listening: submit jobs with --callback-url listen:{options.name}")
        _listen(client, options)
    return 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("listen", __doc__, fields=False)
    parser.add_argument(
        "name", nargs="?", default=DEFAULT_NAME, metavar="NAME", help=f"of listen:NAME (default: {DEFAULT_NAME})"
    )
    parser.add_argument("--forward", metavar="URL", help="post each callback to URL, with its headers")
    parser.add_argument("--count", type=positive_int, metavar="N", help="end after N callbacks (default: go on)")
    return parser


def _listen(client: Client, options: argparse.Namespace) -> None:
    import httpx

    taken = 0
    with httpx.Client(timeout=FORWARD_SECONDS, trust_env=False) as local:
        while options.count is None or taken < options.count:
            limit = 10 if options.count is None else min(10, options.count - taken)
            for callback in client.callbacks.listen(options.name, limit=limit, wait_seconds=WAIT_SECONDS):
                outcome = None if options.forward is None else _forward(local, options.forward, callback)
                if outcome is None or (outcome.isdecimal() and outcome.startswith("2")):
                    client.callbacks.acknowledge([callback["receipt"]])
                    taken += 1
                _print(options, callback, outcome)


def _forward(local: "httpx.Client", url: str, callback: Mapping[str, Any]) -> str:
    """Post a callback; return the status of the answer, or why there is none."""
    import httpx

    try:
        answer = local.post(url, content=callback["body"].encode(), headers=callback["headers"])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"{type(error).__name__}: {error}"
    return str(answer.status_code)


def _print(options: argparse.Namespace, callback: Mapping[str, Any], outcome: str | None) -> None:
    if options.json:
        shown = {"headers": callback["headers"], "body": json.loads(callback["body"])}
        print_json(shown if outcome is None else shown | {"forwarded": outcome})
    else:
        print_line(callback["body"] if outcome is None else f"{outcome}  {callback['headers']['webhook-id']}")
