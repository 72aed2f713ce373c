"""The access log: a line for each request, in the form of the program's other lines.

A line costs the logging module and a write to stderr about half of what the rest of a request does. So lines are made
here by hand, and written many at a time.
"""

import asyncio
import time
from typing import TextIO

FLUSH_SECONDS = 0.05
"""How long a line waits at most before it is written."""
MAX_BUFFERED_LINES = 512
"""So many lines do not wait."""


class AccessLog:
    """Gathers lines and writes them.

    Args:
        stream: where they are written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = -1
        self._stamp = ""

    def add(self, method: str, path: str, status: int, seconds: float, now: float) -> None:
        """Takes a request that was answered at `now` (seconds since the epoch), after so many seconds."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        self._lines.append(
            f"{self._stamp}.{int((now - second) * 1000):03d}Z INFO manager.access"
            f" event=request_completed method={method} path={path} status={status} ms={seconds * 1000:.2f}\n"
        )
        if len(self._lines) >= MAX_BUFFERED_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Writes what has been gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        self._stream.write("".join(lines))
        self._stream.flush()
