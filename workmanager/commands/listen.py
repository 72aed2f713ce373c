"""`workmanager listen`: print callbacks of jobs whose URL is `listen:NAME`, or forward them to a URL on this machine.

For machines that managers cannot reach. What could not be forwarded (no answer, or none with 2xx) comes again after a
minute.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from workmanager.client import Client
from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_int
from workmanager.commands.output import print_error, print_json, print_line
from workmanager.errors import UsageError
from workmanager.http.addresses import parse_url, quote_path
from workmanager.http.answer import NoAnswer

WAIT_SECONDS = 40
DEFAULT_NAME = "default"
FORWARD_SECONDS = 30


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    receiver = None if options.forward is None else _Receiver(options.forward)
    with open_client(options) as client:
        print_error(f"listening: submit jobs with --callback-url listen:{options.name}")
        _listen(client, receiver, options)
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


def _listen(client: Client, receiver: "_Receiver | None", options: argparse.Namespace) -> None:
    taken = 0
    while options.count is None or taken < options.count:
        limit = 10 if options.count is None else min(10, options.count - taken)
        for callback in client.callbacks.listen(options.name, limit=limit, wait_seconds=WAIT_SECONDS):
            outcome = None if receiver is None else receiver.post(callback)
            if outcome is None or (outcome.isdecimal() and outcome.startswith("2")):
                client.callbacks.acknowledge([callback["receipt"]])
                taken += 1
            _print(options, callback, outcome)


class _Receiver:
    """What callbacks are forwarded to."""

    def __init__(self, url: str) -> None:
        """Open no connection yet. Raises UsageError if it is no URL."""
        from workmanager.http.connections import Connections  # Here, as `--help` needs none.

        if parse_url(url) is None:
            raise UsageError(f"{url!r} is not a URL such as http://127.0.0.1:8000/hook")
        parts = urlsplit(url)
        self._path = quote_path((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        address = f"{parts.scheme}://{parts.netloc}"
        self._connections = Connections([address], {}, connect_seconds=FORWARD_SECONDS, use_proxies=False)

    def post(self, callback: Mapping[str, Any]) -> str:
        """Post a callback; return the status of the answer, or why there is none."""
        body = callback["body"].encode()
        options: Any = {"headers": callback["headers"], "timeout_seconds": FORWARD_SECONDS}
        try:
            answer = self._connections.send(0, "POST", self._path, content=body, **options)
        except NoAnswer as error:
            return str(error)
        return str(answer.status)


def _print(options: argparse.Namespace, callback: Mapping[str, Any], outcome: str | None) -> None:
    if options.json:
        shown = {"headers": callback["headers"], "body": json.loads(callback["body"])}
        print_json(shown if outcome is None else shown | {"forwarded": outcome})
    else:
        print_line(callback["body"] if outcome is None else f"{outcome}  {callback['headers']['webhook-id']}")
