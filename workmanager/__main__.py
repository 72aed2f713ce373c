"""The command line: `workmanager COMMAND [ARGUMENT...]`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from workmanager.errors import UsageError, WorkManagerError

# Each command is a module with a `main(arguments) -> exit code`; only the one asked for is imported.
_COMMANDS = {
    "up": ("workmanager.commands.up", "run the whole system on this machine"),
    "manager": ("workmanager.commands.manager", "run one manager"),
    "worker": ("workmanager.commands.worker", "run one worker node"),
    "submit": ("workmanager.commands.submit", "put jobs in"),
    "pull": ("workmanager.commands.pull", "take completed results out"),
    "ack": ("workmanager.commands.ack", "confirm results that were pulled with a lease"),
    "status": ("workmanager.commands.status", "what the system holds now"),
    "jobs": ("workmanager.commands.jobs", "list jobs"),
    "job": ("workmanager.commands.job", "show one job"),
    "cancel": ("workmanager.commands.cancel", "take a waiting job out, or end a running one"),
    "scaler": ("workmanager.commands.scaler", "see and steer how many workers there are"),
    "requeue": ("workmanager.commands.requeue", "run ended jobs again"),
}
_USAGE = "usage: workmanager COMMAND [ARGUMENT...]   (workmanager COMMAND --help tells more)"


def main() -> int:
    """Runs one command. Exit codes: 0 done, 1 it failed, 2 it was asked for wrongly, 130 interrupted."""
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except UsageError as error:
        print(f"workmanager: {error}", file=sys.stderr)
        return 2
    except WorkManagerError as error:
        print(f"workmanager: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(_USAGE)
        for name, (_, summary) in _COMMANDS.items():
            print(f"  {name:<9}{summary}")
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in _COMMANDS:
        raise UsageError(f"there is no command {command!r} (see workmanager --help)")
    module, _ = _COMMANDS[command]
    return int(importlib.import_module(module).main(rest))


if __name__ == "__main__":
    sys.exit(main())
