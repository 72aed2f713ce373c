"""File descriptors that a process has inherited."""

import os
from contextlib import suppress

_DIRECTORY = "/dev/fd"
STANDARD_DESCRIPTORS = (0, 1, 2)


def keep_descriptors_private() -> None:
    """Let no program that this process starts inherit more than the standard descriptors, unless it is asked to.

    Python's own are private anyway. Those that this process has inherited are not, and not every way to start a program
    closes them: uvloop ignores `close_fds`.
    """
    with suppress(OSError):
        for name in os.listdir(_DIRECTORY):
            if int(name) not in STANDARD_DESCRIPTORS:
                with suppress(OSError):  # The one that reads the directory is closed by now.
                    os.set_inheritable(int(name), False)
