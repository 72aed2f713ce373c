"""Parent-death signal: kill a process when its parent ends, even if the parent was killed.

Two ways to use it. A Python program calls `die_with_parent`. Any other program is started through this file:
`python -I -S parent_death.py PARENT_PID PROGRAM [ARGUMENT...]` becomes PROGRAM and keeps its process id. The file needs
only the standard library and is run by its path, so that this costs milliseconds.
"""

import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From <sys/prctl.h>."""
POLL_SECONDS = 0.2
"""Interval at which the parent is checked on systems without a parent-death signal."""


def command(program: list[str]) -> list[str]:
    """Return the command line that runs `program` so that it ends with the calling process.

    On Linux the program ends with the calling *thread*: call from one that lives as long as the process.
    """
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *program]


def die_with_parent(parent_pid: int) -> None:
    """Have the calling process killed (SIGKILL) when its parent ends, also after a later `exec`.

    Raises:
        SystemExit: the parent had already ended.
    """
    if sys.platform == "linux":
        _set_parent_death_signal()
    else:
        _start_watcher(parent_pid)
    if os.getppid() != parent_pid:  # it ended before the signal was set
        sys.exit(f"the parent process {parent_pid} is gone")


def main(arguments: list[str]) -> None:
    parent_pid, program = int(arguments[0]), arguments[1:]
    die_with_parent(parent_pid)
    os.execv(program[0], program)


def _set_parent_death_signal() -> None:
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _start_watcher(parent_pid: int) -> None:
    """Fork a small child that watches the parent and kills this process, which a thread could not do after `exec`."""
    program_pid = os.getpid()
    if os.fork():
        return
    os.closerange(3, 256)  # an inherited lock must not be held by the watcher
    while os.getppid() == program_pid:
        try:
            os.kill(parent_pid, 0)
        except ProcessLookupError:
            os.kill(program_pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
