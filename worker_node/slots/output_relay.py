"""Relay of what jobs print: from a pipe of their executor to the worker's own standard error.

Jobs do not write there themselves. A job that shuts a socket down, as the journal's is, or makes it non-blocking, does
so for all processes that share it, the agent included.
"""

import asyncio
import os
from contextlib import suppress

STDERR = 2
READ_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 16
"""A longer line is passed on in parts, which lines of other processes may separate."""
MAX_REST_BYTES = 1 << 20
"""How much is read at most once the executor has ended. Another process that has its end of the pipe can write on."""


class OutputRelay:
    """The pipe of one executor. Close `write_fd` when the executor has inherited it."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._line = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self._relay)

    def close_write_end(self) -> None:
        """Close the executor's end."""
        os.close(self.write_fd)

    def close(self) -> None:
        """Pass on what is left, and close the pipe."""
        self._loop.remove_reader(self._read_fd)
        for _ in range(0, MAX_REST_BYTES, READ_BYTES):
            if not self._relay():
                break
        _write(self._line)
        os.close(self._read_fd)

    def _relay(self) -> bool:
        """Pass on the lines that have arrived. Return whether there were any, or parts of one."""
        try:
            data = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._read_fd)
            return False
        lines, newline, rest = (self._line + data).rpartition(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines, newline, rest = lines + newline + rest, b"", b""
        _write(lines + newline)
        self._line = rest
        return True


def _write(data: bytes) -> None:
    with suppress(OSError):  # As with the agent's own log, what cannot be written is lost.
        while data:
            data = data[os.write(STDERR, data) :]
