"""`workmanager top`: watch queues, workers, instances and the scaler's decisions. Ctrl-C ends it."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from workmanager.commands.arguments import CommandParser, client_parser, open_client, positive_number
from workmanager.commands.output import print_json, select_fields
from workmanager.commands.terminal import BOLD, is_terminal, styled
from workmanager.commands.top_screen import Snapshot, screen
from workmanager.errors import ClientError

if TYPE_CHECKING:
    from workmanager.client import Client

DEFAULT_SECONDS = 2.0
OPEN_SCREEN, CLOSE_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The terminal's other screen, without a cursor: what was on the first one is there again afterwards."""
HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
Answer = TypeVar("Answer")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    with open_client(options) as client:
        if options.json or options.once or not is_terminal(sys.stdout):
            return _print(client, options)
        return _watch(client, options.interval)


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = client_parser("top", __doc__)
    parser.add_argument(
        "--interval",
        type=positive_number,
        default=DEFAULT_SECONDS,
        metavar="SECONDS",
        help=f"time between two looks (default {DEFAULT_SECONDS:g})",
    )
    parser.add_argument("--once", action="store_true", help="look once, and end; also without a terminal")
    return parser


def _print(client: "Client", options: argparse.Namespace) -> int:
    """Print once; with `--json` a line for each look, unless `--once` is given."""
    while True:
        snapshot = _look(client)
        if not options.json:
            print("\n".join(screen(snapshot, None, None)), flush=True)
            return 0
        print_json(select_fields(snapshot.document(), options.fields))
        if options.once:
            return 0
        time.sleep(options.interval)


def _watch(client: "Client", interval_seconds: float) -> int:
    before: Snapshot | None = None
    print(OPEN_SCREEN, end="", flush=True)
    try:
        while True:
            try:
                snapshot = _look(client)
            except ClientError as error:
                if before is None:
                    raise
                snapshot = Snapshot(before.at, before.status, before.queues, before.workers, before.scaler, str(error))
            _draw(screen(snapshot, before, shutil.get_terminal_size().lines))
            before = snapshot
            time.sleep(interval_seconds)
    except KeyboardInterrupt:
        return 0
    finally:
        print(CLOSE_SCREEN, end="", flush=True)


def _draw(lines: Sequence[str]) -> None:
    width = shutil.get_terminal_size().columns
    cut = [line[:width] for line in lines]
    text = "".join(f"{styled(line, BOLD if line.isupper() else None, sys.stdout)}{CLEAR_LINE}\n" for line in cut)
    print(f"{HOME}{text}{CLEAR_REST}", end="", flush=True)


def _look(client: "Client") -> Snapshot:
    status = client.status()
    return Snapshot(
        time.time(),
        status,
        client.queues(),
        _allowed(client.system.workers, []),
        _allowed(client.scaler, None),
    )


def _allowed(ask: Callable[[], Answer], otherwise: Answer) -> Answer:
    """Return the answer, or something else if the key may not ask."""
    try:
        return ask()
    except ClientError as error:
        if error.status != 403:
            raise
        return otherwise
