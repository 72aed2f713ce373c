"""Liveness pipe: stop all processes of a system together, and wait until they have ended.

A socket pair. The starter holds one end; every other process inherits the other one as `--parent-fd N`. When the
starter closes its end or is killed, they read the end of file. When the last of them has ended, the starter does.
"""

import os
import select
import socket
from contextlib import suppress


class LivenessPipe:
    """The starter's side."""

    def __init__(self) -> None:
        self._own_end, self._inherited_end = socket.socketpair()
        self._is_closed = False

    @property
    def fd(self) -> int:
        """The descriptor that the other processes inherit; valid until `close_write_end`."""
        return self._inherited_end.fileno()

    def close_write_end(self) -> None:
        """Tell all processes that inherited the pipe to end."""
        if not self._is_closed:
            self._inherited_end.close()
            self._own_end.shutdown(socket.SHUT_WR)
            self._is_closed = True

    def wait_until_children_exit(self, seconds: float) -> bool:
        """Return whether, after `close_write_end`, every process that inherited the pipe ended within `seconds`."""
        readable, _, _ = select.select([self._own_end], [], [], seconds)
        return bool(readable)

    def close(self) -> None:
        self.close_write_end()
        self._own_end.close()


def parent_is_gone(fd: int) -> bool:
    """Return whether the starter closed the pipe or ended. Does not block; `fd` may be shared with other processes."""
    readable, _, _ = select.select([fd], [], [], 0)
    return bool(readable) and _reads_end_of_file(fd)


def _reads_end_of_file(fd: int) -> bool:
    with suppress(BlockingIOError, InterruptedError):
        return os.read(fd, 4096) == b""
    return False
