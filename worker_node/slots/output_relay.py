"""Relay of what jobs print to the worker's own standard error: whole lines, so many bytes per second, without secrets.

Jobs do not write there themselves. A job that shuts a socket down, as the journal's is, or makes it non-blocking, does
so for all processes that share it, the agent included.
"""

import logging
import math
import os
from collections.abc import Callable
from contextlib import suppress

from worker_node.redaction import Redaction

log = logging.getLogger(__name__)

STDERR = 2
MAX_LINE_BYTES = 1 << 16
"""A longer line is passed on in parts, which lines of other processes may separate."""
_WORDS_KEPT = 5
"""Such as `password`, `=`, and its value."""
BYTES_PER_SECOND, MAX_BURST_BYTES = 1 << 16, 1 << 20
"""Of one executor. What is more is left out."""
TELL_SECONDS = 10.0
"""Between two lines that tell how much was left out."""


class OutputRelay:
    """Passes on what the streams of one executor bring.

    Args:
        clock: monotonic time in seconds.
    """

    def __init__(self, redaction: Redaction, clock: Callable[[], float]) -> None:
        self._redaction = redaction
        self._clock = clock
        self._allowed_bytes, self._allowed_at = float(MAX_BURST_BYTES), clock()
        self._left_out_bytes, self._told_at = 0, -math.inf

    def lines(self) -> "LineRelay":
        """Return the relay of one more stream."""
        return LineRelay(self._write)

    def tell_left_out(self) -> None:
        """Log how much was left out since the last time."""
        if self._left_out_bytes:
            log.warning("event=job_output_left_out bytes=%d", self._left_out_bytes)
            self._left_out_bytes = 0

    def _write(self, data: bytes) -> None:
        now = self._clock()
        earned = (now - self._allowed_at) * BYTES_PER_SECOND
        self._allowed_bytes, self._allowed_at = min(self._allowed_bytes + earned, MAX_BURST_BYTES), now
        if len(data) > self._allowed_bytes:
            self._left_out_bytes += len(data)
            return
        if now - self._told_at > TELL_SECONDS:
            self._told_at = now
            self.tell_left_out()
        self._allowed_bytes -= len(data)
        data = self._redaction.of_bytes(data)
        with suppress(OSError):  # As with the agent's own log, what cannot be written is lost.
            while data:
                data = data[os.write(STDERR, data) :]


class LineRelay:
    """Collects the lines of one stream, and passes on whole ones."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._line = b""

    def feed(self, data: bytes) -> None:
        """Take what has just been read."""
        lines, newline, rest = (self._line + data).rpartition(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            cut = _end_of_part(rest)
            lines, newline, rest = lines + newline + rest[:cut], b"", rest[cut:]
        if lines or newline:
            self._write(lines + newline)
        self._line = rest

    def close(self) -> None:
        """Pass on what is left."""
        if self._line:
            self._write(self._line)
            self._line = b""


def _end_of_part(line: bytes) -> int:
    """Return where a long line is cut: before its last words, so that a secret and its name stay together."""
    cut = len(line)
    for _ in range(_WORDS_KEPT):
        cut = line.rfind(b" ", 0, max(0, cut))
    return cut if cut >= MAX_LINE_BYTES // 2 else len(line)
