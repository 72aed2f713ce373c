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
MAX_KEPT_BYTES, MAX_KEPT_PLACES = 4096, 24
"""How much of such a line's end waits for what follows: so many bytes, and so many blanks or commas."""
_PLACES = ((b" ", 8), (b",", 1))
"""Where a line may be cut, and before how many of these at least: the rest of a secret may be still to come. With its
name it has up to seven blanks, one before the name and three on either side of `=`, and no commas if it has no quotes.
Compact JSON has commas alone."""
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
        return LineRelay(self._write, self._redaction)

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
    """Collects the lines of one stream, and passes on whole ones.

    Args:
        write: passes them on, and replaces secrets.
        redaction: knows where they are.
    """

    def __init__(self, write: Callable[[bytes], None], redaction: Redaction) -> None:
        self._write = write
        self._redaction = redaction
        self._line = b""

    def feed(self, data: bytes) -> None:
        """Take what has just been read."""
        lines, newline, rest = (self._line + data).rpartition(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            cut = len(rest) - self._kept_bytes(rest[-MAX_KEPT_BYTES:])
            lines, newline, rest = lines + newline + rest[:cut], b"", rest[cut:]
        if lines or newline:
            self._write(lines + newline)
        self._line = rest

    def close(self) -> None:
        """Pass on what is left."""
        if self._line:
            self._write(self._line)
            self._line = b""

    def _kept_bytes(self, end: bytes) -> int:
        """Return how much of a long line's end is kept back: from a blank or comma on that is within no secret, nor
        between one and its name; nothing if there is none.
        """
        redact = self._redaction.of_bytes
        redacted = redact(end)
        for separator, least in _PLACES:
            places = [place for place, byte in enumerate(end) if byte == separator[0]][-MAX_KEPT_PLACES:]
            for cut in places[: max(0, len(places) - least + 1)]:
                if redact(end[:cut]) + redact(end[cut:]) == redacted:
                    return len(end) - cut
        return 0
