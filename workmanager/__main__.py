"""The command line: `workmanager COMMAND [ARGUMENT...]`."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from workmanager.commands.exit_codes import INTERRUPTED, PIPE_CLOSED, USAGE, describe, exit_code
from workmanager.commands.output import print_error
from workmanager.errors import UsageError, WorkManagerError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("workmanager.commands.up", "run the whole system on this machine"),
    "manager": ("workmanager.commands.manager", "run one manager"),
    "worker": ("workmanager.commands.worker", "run one worker"),
    "submit": ("workmanager.commands.submit", "submit jobs"),
    "pull": ("workmanager.commands.pull", "pull completed results"),
    "ack": ("workmanager.commands.ack", "acknowledge results that were pulled with a lease"),
    "status": ("workmanager.commands.status", "count jobs and workers"),
    "queues": ("workmanager.commands.queues", "list the queues, pause or resume one"),
    "workers": ("workmanager.commands.workers", "list the workers"),
    "jobs": ("workmanager.commands.jobs", "list jobs"),
    "job": ("workmanager.commands.job", "show one job"),
    "explain": ("workmanager.commands.explain", "say why a job does not run"),
    "operations": ("workmanager.commands.operations", "requeue, cancel or delete all jobs that match"),
    "wait": ("workmanager.commands.wait", "wait until jobs have ended, and show each"),
    "logs": ("workmanager.commands.logs", "show what a job has logged"),
    "events": ("workmanager.commands.events", "show what happens to a job as it happens"),
    "cancel": ("workmanager.commands.cancel", "cancel waiting jobs, and stop running ones"),
    "requeue": ("workmanager.commands.requeue", "run ended jobs again"),
    "delete": ("workmanager.commands.delete", "delete jobs"),
    "schedule": ("workmanager.commands.schedule", "list, change, pause, trigger and preview schedules"),
    "scaler": ("workmanager.commands.scaler", "show the scaler, pause it, or set its limits"),
    "keys": ("workmanager.commands.keys", "create, list, roll and revoke API keys"),
    "workflow": ("workmanager.commands.workflow", "submit, show, cancel and retry graphs of jobs"),
    "callbacks": ("workmanager.commands.callbacks", "list callbacks, and send them again"),
    "listen": ("workmanager.commands.listen", "print callbacks, or forward them to a URL on this machine"),
    "limits": ("workmanager.commands.limits", "list and set limits of how many jobs run"),
    "contexts": ("workmanager.commands.contexts", "list the systems of the file of settings"),
    "audit": ("workmanager.commands.audit", "list who changed what"),
    "metrics": ("workmanager.commands.metrics", "print the metrics of a manager"),
}
"""Module and summary of each command. The module has `main(arguments) -> exit code`, and is imported only if needed."""
SERVER_COMMANDS = frozenset({"up", "manager", "worker"})
"""Those that need more than a client: the packages of the extra `server`."""
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
USAGE_LINE = "usage: workmanager COMMAND [ARGUMENT...]   (options of one: workmanager COMMAND --help)"


def main() -> int:
    """Run one command. Exit codes: `workmanager.commands.exit_codes.EXIT_CODES`."""
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except WorkManagerError as error:
        print_error(describe(error))
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(USAGE_LINE)
        for name, (_, summary) in COMMANDS.items():
            print(f"  {name:<12}{summary}")
        return 0 if arguments else USAGE
    command, *rest = options_behind_command(arguments)
    if command not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(command, COMMANDS, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"unknown command {command!r}{meant} (see workmanager --help)")
    if command in SERVER_COMMANDS:
        importlib.import_module("workmanager.commands.server_packages").check_server_packages(command)
    module, _ = COMMANDS[command]
    return int(importlib.import_module(module).main(rest))


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
