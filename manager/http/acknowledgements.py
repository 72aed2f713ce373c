"""Tell whether a client that has closed its sending half is still there: whether its system accepts the response."""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Any

DEADLINE_SECONDS = 5.0
"""A client's system that neither accepts nor refuses a response within this time may have accepted it."""
MAX_POLL_SECONDS = 0.05

# From linux/tcp.h: the first byte of `struct tcp_info` is the state, `tcpi_bytes_acked` is a 64-bit integer.
_STATE_CLOSED = 7
_ACKNOWLEDGED_OFFSET = 120
_INFO_BYTES = _ACKNOWLEDGED_OFFSET + 8


class Acknowledgements:
    """What the peer's system acknowledges of the data that is written from now on.

    A peer that is gone answers the first data with a reset, and has acknowledged nothing of it then. Without Linux's
    `TCP_INFO`, every response counts as accepted.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._socket: Any = transport.get_extra_info("socket")
        self._bytes_before = 0
        if hasattr(socket, "TCP_INFO"):
            (unacknowledged,) = struct.unpack("i", fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)))
            self._bytes_before = self._state()[1] + unacknowledged

    async def are_refused(self) -> bool:
        """Return whether the peer has refused the data, so that no byte of it can have been read."""
        poll_seconds = 0.001
        waited_seconds = 0.0
        while hasattr(socket, "TCP_INFO") and waited_seconds < DEADLINE_SECONDS:
            try:
                is_closed, acknowledged_bytes = self._state()
            except (OSError, ValueError):  # the transport has closed the socket, because writing failed
                return True
            if acknowledged_bytes > self._bytes_before:
                return False
            if is_closed:
                return True
            await asyncio.sleep(poll_seconds)
            waited_seconds += poll_seconds
            poll_seconds = min(poll_seconds * 2, MAX_POLL_SECONDS)
        return False

    def _state(self) -> tuple[bool, int]:
        """Return whether the connection has been reset, and the number of bytes acknowledged since it began."""
        info: bytes = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
        (acknowledged_bytes,) = struct.unpack_from("Q", info, _ACKNOWLEDGED_OFFSET)
        return info[0] == _STATE_CLOSED, acknowledged_bytes
