"""The agent's end of a socket pair: frames in and out without ever blocking the event loop."""

import asyncio
import socket
from collections.abc import Callable, Sequence

from worker_node.ipc.protocol import LENGTH, MAX_FRAME_BYTES

READ_BYTES = 1 << 18


class Channel:
    """Sends and receives frames.

    Unlike an asyncio transport it can be emptied at once (`drain`): a child that has died may leave its last words in
    the socket, and a grandchild that holds the other end open would keep the end of the stream from ever coming.

    Args:
        connection: the agent's end.
        on_frames: called with the payloads of all frames that have come in by now.
        on_garbage: called once when what comes in is no frame; nothing is read after that.
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
        self._on_garbage = on_protocol_error
        self._loop = asyncio.get_running_loop()
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._reading = True
        self._rest: asyncio.TimerHandle | None = None
        self._loop.add_reader(connection.fileno(), self._read_some)

    def send(self, frame: bytes) -> None:
        """Sends a frame, later where the other end is not taking it now; a dead other end is found out elsewhere."""
        if self._outgoing:
            self._outgoing += frame
            return
        sent = self._send_now(frame)
        if sent < len(frame):
            self._outgoing += memoryview(frame)[sent:]
            self._loop.add_writer(self._connection.fileno(), self._send_more)

    @property
    def is_deferred(self) -> bool:
        """Whether what comes in gathers in the socket."""
        return self._rest is not None

    def defer_until(self, until: float) -> None:
        """Lets what comes in gather in the socket until the loop's clock says `until`; `drain` reads it before.

        A rest that is under way ends then instead.
        """
        if not self._reading:
            return
        if self._rest is None:
            self._loop.remove_reader(self._connection.fileno())
        else:
            self._rest.cancel()
        self._rest = self._loop.call_at(until, self._end_rest)

    def drain(self) -> None:
        """Reads everything that is there now."""
        while self._reading and self._read_some():
            pass

    def close(self) -> None:
        """Closes the agent's end, which tells an executor to leave."""
        self._stop_reading()
        if self._outgoing:
            self._loop.remove_writer(self._connection.fileno())
            self._outgoing.clear()
        self._connection.close()

    def _end_rest(self) -> None:
        self._rest = None
        self._read_some()
        # What it read may have been a reason to rest again, or to read no more.
        if self._reading and self._rest is None:
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
                raise ValueError(f"a frame of {size} bytes")
        except (ValueError, TypeError, KeyError, IndexError) as error:
            # A job can write what it likes to its executor's end; that must not reach the other jobs.
            self._stop_reading()
            self._on_garbage(f"{type(error).__name__}: {error}")

    def _stop_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._connection.fileno())
            if self._rest is not None:
                self._rest.cancel()
                self._rest = None

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
