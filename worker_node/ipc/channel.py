"""Non-blocking frame transport of the agent: one end of a socket pair to an executor.

Hot path: see benchmarks/README.md#what-limits-each-figure (`cpu_slots`).
"""

import asyncio
import socket
from collections.abc import Callable, Sequence

from worker_node.ipc.frames import FrameReader

READ_BYTES = 1 << 18
MAX_READS = 16
"""Of `read_available`. A socket holds less than that, but a job can write as fast as the agent reads."""


class Channel:
    """Sends and receives frames without blocking the event loop, and reads a bounded amount at once.

    Unlike an asyncio transport, it can read everything that has arrived at once (`read_available`). An executor that
    died can have left its last reports in the socket, and a child process of a job that holds the other end open would
    keep the end of the stream from ever arriving.

    Args:
        connection: the agent's end.
        max_frame_bytes: largest payload of a frame that arrives.
        on_frames: called with the payloads of all frames that have arrived; None for bytes that are no frame.
    """

    def __init__(
        self, connection: socket.socket, max_frame_bytes: int, on_frames: Callable[[Sequence[bytes | None]], None]
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._incoming = FrameReader(max_frame_bytes)
        self._outgoing = bytearray()
        self._reading = True
        self._deferral: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection.fileno(), self._read_some)

    def use_key(self, key: bytes) -> None:
        """Expect this key in the frames that arrive from now on."""
        self._incoming.use_key(key)

    def send(self, frame: bytes) -> None:
        """Send a frame, in the background if the socket is full. A dead executor is noticed elsewhere."""
        if self._outgoing:
            self._outgoing += frame
            return
        sent = self._send_now(frame)
        if sent < len(frame):
            self._outgoing += memoryview(frame)[sent:]
            self._loop.add_writer(self._connection.fileno(), self._send_more)

    @property
    def is_deferred(self) -> bool:
        """Whether incoming frames stay in the socket for now."""
        return self._deferral is not None

    def defer_until(self, until: float) -> None:
        """Leave incoming frames in the socket until the event loop's clock reaches `until`, or until `read_available`.

        A new call replaces the end of a deferral that is under way.
        """
        if not self._reading:
            return
        if self._deferral is None:
            self._loop.remove_reader(self._connection.fileno())
        else:
            self._deferral.cancel()
        self._deferral = self._loop.call_at(until, self._end_deferral)

    def read_available(self) -> None:
        """Read everything that has arrived."""
        for _ in range(MAX_READS):
            if not self._reading or not self._read_some():
                break

    def stop_reading(self) -> None:
        """Read nothing more."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._connection.fileno())
            if self._deferral is not None:
                self._deferral.cancel()
                self._deferral = None

    def close(self) -> None:
        """Close the agent's end, which makes the executor exit."""
        self.stop_reading()
        if self._outgoing:
            self._loop.remove_writer(self._connection.fileno())
            self._outgoing.clear()
        self._connection.close()

    def _end_deferral(self) -> None:
        self._deferral = None
        self._read_some()
        # The frames just read may have started another deferral, or stopped the reading.
        if self._reading and self._deferral is None:
            self._loop.add_reader(self._connection.fileno(), self._read_some)

    def _read_some(self) -> bool:
        try:
            data = self._connection.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self.stop_reading()
            return False
        payloads = self._incoming.feed(data)
        if payloads:
            self._on_frames(payloads)
        return True

    def _send_now(self, data: bytes | bytearray) -> int:
        try:
            return self._connection.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)

    def _send_more(self) -> None:
        del self._outgoing[: self._send_now(self._outgoing)]
        if not self._outgoing:
            self._loop.remove_writer(self._connection.fileno())
