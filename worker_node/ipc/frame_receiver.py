"""Blocking receiver of the agent's frames, for an executor: its threads also run jobs, which may be interrupted."""

import os
import socket
from typing import Any

import msgpack  # type: ignore[import-untyped]  # It has no types.

from worker_node.ipc.protocol import LENGTH


class FrameReceiver:
    """Reads frames whole, although what interrupts it may raise anywhere: the next `read` goes on where it was.

    As in `FrameSender`, how much has arrived is stored without a step of the interpreter in between.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._part = _Part(LENGTH.size, is_header=True)

    def read(self) -> list[Any] | None:
        """Wait for the next frame; return its messages, or None at the end of the stream.

        Raises:
            OSError: a job has closed the connection.
            BaseException: what interrupted the receiver.
        """
        while True:
            part = self._part
            while (got := sum(part.counts)) < len(part.data):
                try:
                    part.counts.extend(map(self._connection.recv_into, (memoryview(part.data)[got:],)))
                except BlockingIOError:
                    os.set_blocking(self._connection.fileno(), True)  # A job has changed it.
                if part.counts and part.counts[-1] == 0:
                    return None
            if part.is_header:
                self._part = _Part(LENGTH.unpack(part.data)[0], is_header=False)
            else:
                messages: list[Any] = msgpack.unpackb(part.data)
                self._part = _Part(LENGTH.size, is_header=True)
                return messages


class _Part:
    """A header or a payload, and the sizes of its pieces that have arrived."""

    def __init__(self, size: int, *, is_header: bool) -> None:
        self.data = bytearray(size)
        self.counts: list[int] = []
        self.is_header = is_header
