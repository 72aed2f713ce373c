"""Runs a program that must not outlive the process that started it, even when that one is killed.

`python -I -S leash.py PARENT_PID PROGRAM [ARGUMENT...]` becomes PROGRAM, keeping its process id. It stands
alone (standard library only, run by its path), so that it costs milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_WATCH_SECONDS = 0.2


def command(program: list[str]) -> list[str]:
    """The command line that runs `program` on a leash held by the calling process.

    On Linux the leash is held by the calling *thread*: call from one that lives as long as the process.
    """
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *program]


def main(arguments: list[str]) -> None:
    parent_pid, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        _die_with_parent()
    else:
        _start_watcher(parent_pid)
    if os.getppid() != parent_pid:  # it ended before the leash was on
        sys.exit(1)
    os.execv(program[0], program)


def _die_with_parent() -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _start_watcher(parent_pid: int) -> None:
    """Where the kernel offers no such signal, a small child watches the parent and kills the program."""
    program_pid = os.getpid()
    if os.fork():
        return
    os.closerange(3, 256)  # an inherited lock must not be held by the watcher
    while os.getppid() == program_pid:
        try:
            os.kill(parent_pid, 0)
        except ProcessLookupError:
            os.kill(program_pid, signal.SIGKILL)
        time.sleep(_WATCH_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
