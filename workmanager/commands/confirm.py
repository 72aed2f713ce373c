"""Ask before something is lost that no other command brings back."""

import argparse
import sys

from workmanager.commands.terminal import is_terminal
from workmanager.errors import UsageError, WorkManagerError


def add_confirmation(parser: argparse.ArgumentParser, *, dry_run: str | None = None) -> None:
    """Add `--yes` and, with its help, `--dry-run`."""
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask; needed where there is no terminal")
    if dry_run is not None:
        parser.add_argument("--dry-run", action="store_true", help=dry_run)


def confirm(options: argparse.Namespace, action: str) -> None:
    """Ask whether to do what cannot be undone, unless `--yes` was given.

    Args:
        action: what will be done, such as `delete 3 jobs`.

    Raises:
        UsageError: there is nobody to ask.
        WorkManagerError: the answer is not yes.
    """
    if options.yes:
        return
    if not (sys.stdin.isatty() and is_terminal(sys.stderr)):
        raise UsageError(f"this would {action}, which cannot be undone: give --yes")
    print(f"{action[:1].upper()}{action[1:]}? This cannot be undone. [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise WorkManagerError("nothing was changed")
