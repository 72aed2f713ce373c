"""How a worker stands back on the processors for the other programs of its machine: for managers and Redis, where it
shares one with them, so that whoever puts jobs in or pulls does not wait for those that run.
"""

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

_SESSION = Path("/proc/self/autogroup")
_TRIES = 30

log = logging.getLogger(__name__)


def agent_niceness(nice: int) -> int:
    """How far the agent stands back whose executors do so by `nice`: it goes before jobs, lest their leases end."""
    return nice * 2 // 3


def lower_priority(nice: int) -> None:
    """Lowers the priority of this process, and of all that it starts from now on, to `nice` (0 to 19, see nice(2)).

    To be called before it has threads. Where the kernel shares the processors among sessions first (autogroup, see
    sched(7)), niceness counts within a session alone: a process that leads one has the session stand back, too.
    """
    if not nice:
        return
    # Back again would need rights.
    os.setpriority(os.PRIO_PROCESS, 0, max(nice, os.getpriority(os.PRIO_PROCESS, 0)))
    if os.getsid(0) == os.getpid() and _SESSION.exists():
        set_autogroup_nice(lambda: _SESSION.write_text(str(nice)))


def set_autogroup_nice(write: Callable[[], object]) -> None:
    """Calls `write`, and again in a thread while the kernel, which hears one user every 100 ms, is busy."""
    if not _told(write):
        threading.Thread(target=_insist, args=(write,), daemon=True).start()


def _insist(write: Callable[[], object]) -> None:
    for _ in range(_TRIES):
        # Many executors start at once: each finds a gap.
        time.sleep(random.uniform(0.1, 0.3))
        if _told(write):
            return
    log.warning("event=priority_not_lowered pid=%d reason=busy", os.getpid())


def _told(write: Callable[[], object]) -> bool:
    try:
        write()
    except BlockingIOError:
        return False
    except OSError as error:
        log.warning("event=priority_not_lowered pid=%d reason=%r", os.getpid(), str(error))
    return True
