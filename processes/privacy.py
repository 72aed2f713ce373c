"""A process whose environment and memory other programs of the same user cannot read."""

import sys

_PR_SET_DUMPABLE = 4
"""From <sys/prctl.h>."""


def keep_memory_private() -> None:
    """Let no other process of the same user read this one's environment and memory, trace it or open its descriptors.

    On Linux only, and not towards root. The process also dumps no core, and loses the right to open files of its own
    `/proc/self` that only their owner may open. Programs that it starts are not affected.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
