"""The command line: `workmanager COMMAND [ARGUMENT...]`."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

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
    "jobs": ("workmanager.commands.jobs", "list jobs"),
    "job": ("workmanager.commands.job", "show one job"),
    "explain": ("workmanager.commands.explain", "say why a job does not run"),
    "operations": ("workmanager.commands.operations", "requeue, cancel or delete all jobs that match"),
    "wait": ("workmanager.commands.wait", "wait until jobs have ended, and show each"),
    "logs": ("workmanager.commands.logs", "show what a job has logged"),
    "cancel": ("workmanager.commands.cancel", "cancel a waiting job, or stop a running one"),
    "schedule": ("workmanager.commands.schedule", "list, change, pause, trigger and preview schedules"),
    "scaler": ("workmanager.commands.scaler", "show the scaler, pause it, or set its limits"),
    "keys": ("workmanager.commands.keys", "create, list, roll and revoke API keys"),
    "workflow": ("workmanager.commands.workflow", "submit, show, cancel and retry graphs of jobs"),
    "callbacks": ("workmanager.commands.callbacks", "list callbacks, and send them again"),
    "listen": ("workmanager.commands.listen", "print callbacks, or forward them to a URL on this machine"),
    "limits": ("workmanager.commands.limits", "list and set limits of how many jobs run"),
    "requeue": ("workmanager.commands.requeue", "run ended jobs again"),
}
"""Module and summary of each command. The module has `main(arguments) -> exit code`, and is imported only if needed."""
SERVER_COMMANDS = frozenset({"up", "manager", "worker"})
"""Those that need more than a client: the packages of the extra `server`."""
USAGE = "usage: workmanager COMMAND [ARGUMENT...]   (options of one: workmanager COMMAND --help)"


def main() -> int:
    """Run one command. Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted."""
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except UsageError as error:
        print_error(f"workmanager: {error}")
        return 2
    except WorkManagerError as error:
        print_error(f"workmanager: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the pipe, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(USAGE)
        for name, (_, summary) in COMMANDS.items():
            print(f"  {name:<12}{summary}")
        return 0 if arguments else 2
    command, *rest = arguments
    if command not in COMMANDS:
        raise UsageError(f"unknown command {command!r} (see workmanager --help)")
    if command in SERVER_COMMANDS:
        importlib.import_module("workmanager.commands.server_packages").check_server_packages(command)
    module, _ = COMMANDS[command]
    return int(importlib.import_module(module).main(rest))


if __name__ == "__main__":
    sys.exit(main())
