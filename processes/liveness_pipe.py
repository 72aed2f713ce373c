"""How a system's processes end with the one that started them, and how it learns that they have ended.

A socket pair: the starter holds one end, every other process inherits the other as `--lifeline-fd N`. When the
starter cuts it, or is killed, they read the end of file; when the last of them is gone, the starter does.
"""

from __future__ import annotations

import select
import socket


class Lifeline:
    """The starter's side."""

    def __init__(self) -> None:
        self._mine, self._theirs = socket.socketpair()
        self._cut = False

    @property
    def fd(self) -> int:
        """The descriptor for the others to inherit; until `cut`."""
        return self._theirs.fileno()

    def cut(self) -> None:
        """Tells all that hold it to end."""
        if not self._cut:
            self._theirs.close()
            self._mine.shutdown(socket.SHUT_WR)
            self._cut = True

    def wait_until_released(self, seconds: float) -> bool:
        """After `cut`: whether every process that held the lifeline ended within `seconds`."""
        readable, _, _ = select.select([self._mine], [], [], seconds)
        return bool(readable)

    def close(self) -> None:
        self.cut()
        self._mine.close()


def is_cut(fd: int) -> bool:
    """The other side, without waiting: whether the starter has cut the inherited lifeline or is gone."""
    readable, _, _ = select.select([fd], [], [], 0)
    return bool(readable)
