"""`python -m workmanager.append_only`: repair, check or set aside a server's append-only files; see the package."""

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import workmanager.append_only
from workmanager.append_only.check import find_damage
from workmanager.append_only.repair import repair
from workmanager.append_only.set_aside import set_aside

log = logging.getLogger("append_only")

UNREADABLE = 3
"""Exit code of `--check`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; 1 if a file cannot be read or changed for a reason of the system."""
    parser = argparse.ArgumentParser(
        prog="append_only",
        description=workmanager.append_only.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check", metavar="SERVER")
    group.add_argument("--set-aside", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    try:
        if options.set_aside:
            set_aside(options.directory)
        elif options.check:
            return _check(options.directory, options.check)
        else:
            repair(options.directory)
    except OSError as error:
        sys.stderr.write(f"append_only: cannot check the append-only file in {options.directory}: {error}\n")
        return 1
    return 0


def _check(directory: Path, server: str) -> int:
    damage = find_damage(directory, shutil.which(server) or server)
    if damage is None:
        return 0
    log.error("event=append_only_unreadable directory=%s reason=%r remedy=%r", directory, damage.reason, damage.remedy)
    return UNREADABLE


if __name__ == "__main__":
    sys.exit(main())
