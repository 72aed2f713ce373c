"""Child processes and their descendants, also those that have left the process group and the session of their parent.

A process that is a child subreaper inherits the orphans among its descendants, see PR_SET_CHILD_SUBREAPER in prctl(2).
So none of them can leave its tree, whatever `setsid` and forks it does. Linux only: elsewhere, no children are found.
"""

import os
import signal
import sys
from collections.abc import Container, Iterator
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36
"""From <sys/prctl.h>."""


def become_subreaper() -> bool:
    """Make the calling process inherit orphans among its descendants. Return whether the system supports this."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def can_list_children() -> bool:
    """Return whether this system tells the children of a process."""
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def children_of(pid: int) -> list[int]:
    """Return the children of a process, ended ones that nobody has waited for included; [] if it is gone.

    A child that another one follows in the list may be missing if it ends at this moment, see proc(5).
    """
    found: list[int] = []
    threads = f"/proc/{pid}/task"
    with suppress(OSError):
        for thread in os.listdir(threads):
            with suppress(OSError):
                found += map(int, _read(f"{threads}/{thread}/children").split())
    return found


def descendants_of(pid: int) -> Iterator[int]:
    """Yield all descendants of a process, parents before their children."""
    remaining = children_of(pid)
    while remaining:
        descendant = remaining.pop()
        yield descendant
        remaining += children_of(descendant)


def kill_children(keep: Container[int]) -> bool:
    """Kill the children of this process and reap those that have ended, except those to keep.

    Children of a killed child become children of a subreaper. So repeat this until it returns False.

    Returns:
        whether there were any.
    """
    found = False
    for child in children_of(os.getpid()):
        if child not in keep:
            found = True
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
    return found


def _read(path: str) -> bytes:
    # Not by a file object: executors read this after each job, and share the pages that it takes with the next one.
    file = os.open(path, os.O_RDONLY)
    try:
        content = b""
        while piece := os.read(file, 1 << 16):
            content += piece
    finally:
        os.close(file)
    return content
