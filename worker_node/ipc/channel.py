"""Non-blocking frame transport of the agent: one end of a socket pair to an executor.

Hot path: see benchmarks/README.md#what-limits-each-figure (`cpu_slots`).
"""

import asyncio
import socket
from collections.abc import Callable, Sequence

from worker_node.ipc.protocol import LENGTH, MAX_FRAME_BYTES

READ_BYTES = 1 << 18


class Channel:
    """Sends and receives frames without blocking the event loop.

    Unlike an asyncio transport, it can read everything that has arrived at once (`drain`). An executor that died can
    have left its last reports in the socket, and a child process of a job that holds the other end open would keep the
    end of the stream from ever arriving.

    Args:
        connection: the agent's end.
        on_frames: called with the payloads of all frames that have arrived.
        on_protocol_error: called once with the reason if the data is not a valid frame. Nothing is read after that.
    """

    def __init__(
        self,
        connection: socket.socket,
        on_frames: Callable[[Sequence[bytes]], None],
        on_protocol_error: Callable[[str], None],
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._on_frames = on_frames
        self._on_protocol_error = on_protocol_error
        self._loop = asyncio.get_running_loop()
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._reading = True
        self._deferral: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection.fileno(), self._read_some)

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
        while self._reading and self._read_some():
            pass

    def close(self) -> None:
        """Close the agent's end, which makes the executor exit."""
        self._stop_reading()
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
            self._stop_reading()
            return False
        self._incoming += data
        self._deliver()
        return True

    def _deliver(self) -> None:
        incoming, start, size = self._incoming, 0, 0
        payloads = []
        while len(incoming) - start >= LENGTH.size:
            size = LENGTH.unpack_from(incoming, start)[0]
            end = start + LENGTH.size + size
            if len(incoming) < end:
                break
            payloads.append(bytes(memoryview(incoming)[start + LENGTH.size : end]))
            start = end
        del incoming[:start]
        try:
            if payloads:
                self._on_frames(payloads)
            if size > MAX_FRAME_BYTES:
                raise ValueError(f"frame of {size} bytes, at most {MAX_FRAME_BYTES} are allowed")
        except (ValueError, TypeError, KeyError, IndexError) as error:
            # A job can write anything to its executor's end. That must not harm other jobs.
            self._stop_reading()
            self._on_protocol_error(f"{type(error).__name__}: {error}")

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._connection.fileno())
            if self._deferral is not None:
                self._deferral.cancel()
                self._deferral = None

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
