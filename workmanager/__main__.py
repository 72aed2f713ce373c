"""The command line: `workmanager COMMAND [ARGUMENT...]`."""

import errno
import importlib
import os
import sys
from collections.abc import Sequence

from workmanager.commands import COMMANDS, SERVER_COMMANDS
from workmanager.commands.exit_codes import FAILURE, INTERRUPTED, PIPE_CLOSED, USAGE, describe, exit_code
from workmanager.commands.output import print_error
from workmanager.commands.version import installed_version
from workmanager.errors import UsageError, WorkManagerError

LEADING_OPTIONS = {
    "--url": True,
    "--key": True,
    "--key-file": True,
    "--context": True,
    "--config": True,
    "--json": False,
    "--fields": True,
}
"""Options of client commands that may stand before the command as well, and whether a value follows."""
OUTPUT_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What an output gives that cannot be written. Other errors without a file's name come from elsewhere."""
USAGE_LINE = "usage: workmanager COMMAND [ARGUMENT...]   (options of one: workmanager COMMAND --help)"


def main() -> int:
    """Run one command. Exit codes: `workmanager.commands.exit_codes.EXIT_CODES`."""
    try:
        code = _run(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
    except WorkManagerError as error:
        print_error(describe(error))
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.filename is None and error.errno not in OUTPUT_ERRORS:
            raise
        if not isinstance(error, BrokenPipeError):
            print_error(f"workmanager: {error.filename or 'the output'}: {error.strerror or error}")
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED if isinstance(error, BrokenPipeError) else FAILURE
    return code


def _check_streams() -> None:
    """Refuse to print nowhere: results, once pulled, would be gone.

    Raises:
        UsageError: standard output is closed.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the program runs
    if sys.stdout is None:
        sys.stdout = sys.stderr
        raise UsageError("standard output is closed: redirect it to /dev/null if it is not wanted")


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--version"]:
        print(f"workmanager {installed_version() or '(not installed)'}")
        return 0
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(USAGE_LINE)
        for name, (_, summary) in COMMANDS.items():
            print(f"  {name:<12}{summary}")
        return 0 if arguments else USAGE
    command, *rest = options_behind_command(arguments)
    if command not in COMMANDS:
        raise UsageError(f"unknown command {command!r}{_meant(command)} (see workmanager --help)")
    if command in SERVER_COMMANDS:
        importlib.import_module("workmanager.commands.server_packages").check_server_packages(command)
    else:
        _check_streams()
    module, _ = COMMANDS[command]
    return int(importlib.import_module(module).main(rest))


def _meant(command: str) -> str:
    """Return which commands do what a word says, such as `pause`, or else have a name like it."""
    import difflib

    meant = [name for name, (_, summary) in COMMANDS.items() if command in summary.replace(",", "").split()]
    named = " or ".join(map(repr, meant or difflib.get_close_matches(command, COMMANDS, n=1)))
    return f"; did you mean {named}?" if named else ""


def options_behind_command(arguments: Sequence[str]) -> Sequence[str]:
    """Move options that stand before the command behind it, where its own parser reads them.

    Raises:
        UsageError: one is not among those that may stand there, or no command follows.
    """
    leading: list[str] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        name, equals, _ = option.partition("=")
        if name not in LEADING_OPTIONS:
            raise UsageError(f"unknown option {name} before the command (see workmanager --help)")
        leading.append(option)
        if LEADING_OPTIONS[name] and not equals:
            leading += [rest.pop(0)] if rest else []
    if not rest:
        raise UsageError("no command is given (see workmanager --help)")
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *leading, *rest[end:]]


if __name__ == "__main__":
    sys.exit(main())
