"""Processes that a job has started: they end with it."""

import os
import time
from collections.abc import Collection

from processes.descendants import become_subreaper, can_list_children, children_of, kill_children

DEADLINE_SECONDS = 2.0
"""How long processes that ended jobs have left may take to die. A process that forks all the time may never."""
NOT_ENDED = "its child processes do not end"
_RETRY_SECONDS = 0.001
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT


class ChildWatch:
    """Ends the processes that a job has left behind, also those in sessions of their own.

    Attributes:
        can_spare: whether it can tell the others from one that is to live (`end_others`).
    """

    def __init__(self) -> None:
        become_subreaper()
        self.can_spare = can_list_children()
        self._kept: Collection[int] = ()

    def keep(self) -> None:
        """Let the present children live: a module has started them when it was imported."""
        self._kept = children_of(os.getpid()) if _has_children() else ()

    def end_others(self, spared: int | None = None) -> str:
        """Kill all others, except one; return why that is impossible, or ''."""
        kept = self._kept if spared is None else {*self._kept, spared}
        if not kept and not _has_children():
            return ""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while kill_children(kept):
            if time.monotonic() > deadline:
                return NOT_ENDED
            time.sleep(_RETRY_SECONDS)
        # Without a list of children, as on systems other than Linux, only the executor's end may end them.
        return "" if kept or not _has_children() else NOT_ENDED


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, _LOOK)
    except ChildProcessError:
        return False
    return True
