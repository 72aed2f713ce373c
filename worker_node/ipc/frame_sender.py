"""Blocking sender of frames, for an executor: its main thread also runs jobs, which may leave interruptions behind.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import os
import socket


class FrameSender:
    """Sends frames whole and in order, whatever interrupts it.

    A signal handler or an asynchronous exception that a job has left behind can raise between any two steps of the
    interpreter. So what `send` returns must be stored without a step in between: `list.extend` does that, as it calls
    `send` (through `map`) and stores the result within one step. Whoever is interrupted calls `finish`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frame: tuple[bytes, list[int]] = (b"", [])

    def send(self, frame: bytes) -> None:
        """Send a frame; wait while the socket is full.

        Raises:
            OSError: the connection is closed.
            BaseException: what interrupted the sender; `finish` sends the rest.
        """
        sent: list[int] = []
        self._frame = (frame, sent)
        try:
            sent.extend(map(self._connection.send, (frame,)))
        except BlockingIOError:
            self.finish(frame)
        else:
            if sent[0] < len(frame):
                self.finish(frame)

    def finish(self, frame: bytes) -> None:
        """Send what is left of a frame whose `send` was interrupted. Raises as `send` does."""
        if self._frame[0] is not frame:
            self._frame = (frame, [])
        sent = self._frame[1]
        while (done := sum(sent)) < len(frame):
            try:
                sent.extend(map(self._connection.send, (memoryview(frame)[done:],)))
            except BlockingIOError:
                os.set_blocking(self._connection.fileno(), True)  # A job has changed it.
