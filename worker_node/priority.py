"""CPU priority of a worker (niceness), so that managers and Redis on the same machine respond while jobs run.

Executors import this. `logging`, `threading` and `random` run code of their own in each fork for an isolated job
(docs/decisions/0019), so they are imported where they are needed.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_TRIES = 30


def agent_niceness(nice: int) -> int:
    """Return two thirds of the executors' niceness, for the agent: starved of CPU, it would lose its leases."""
    return nice * 2 // 3


def lower_priority(nice: int) -> None:
    """Set the niceness (0 to 19, see nice(2)) of this process and of all that it starts later. Never raises priority.

    Call it before the process has threads. Some kernels divide the CPU among sessions first (autogroup, see sched(7)),
    and niceness counts only within a session. So a session leader also sets the niceness of its session.
    """
    if not nice:
        return
    # Raising the priority again would need privileges.
    os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))
    if os.getsid(0) == os.getpid() and _AUTOGROUP.exists():
        try:
            # Opened once, unbuffered: the agent may not open it again after `keep_memory_private`.
            file = _AUTOGROUP.open("wb", buffering=0)
        except OSError as error:
            _warn(repr(str(error)))
        else:
            set_autogroup_nice(lambda: file.write(str(nice).encode()))


def set_autogroup_nice(write: Callable[[], object]) -> None:
    """Call `write`; while the kernel is busy (it allows one change per user every 100 ms), retry in a thread."""
    if not _try(write):
        import threading

        threading.Thread(target=_retry, args=(write,), daemon=True).start()


def _retry(write: Callable[[], object]) -> None:
    import random

    for _ in range(_TRIES):
        # Random, because many executors start at the same time.
        time.sleep(random.uniform(0.1, 0.3))
        if _try(write):
            return
    _warn("busy")


def _try(write: Callable[[], object]) -> bool:
    """Return False if the kernel is busy."""
    try:
        write()
    except BlockingIOError:
        return False
    except OSError as error:
        _warn(repr(str(error)))
    return True


def _warn(reason: str) -> None:
    import logging

    logging.getLogger(__name__).warning("event=priority_not_lowered pid=%d reason=%s", os.getpid(), reason)
