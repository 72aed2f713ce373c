"""What one stream of an executor has brought that no job has been given yet: its head and its tail, within bounds."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from processes.wording import counted

HEAD_BYTES = TAIL_BYTES = 16 * 1024
MAX_PARTIAL_BYTES = 4096
"""A line that is longer is not waited for to its end."""

Line = tuple[int, str]
"""When it came (Unix time in milliseconds), and its text."""
_Chunk = tuple[int, int, bytes]
"""Its position in the stream, when it came, and the bytes."""


@dataclass(slots=True)
class _Gap:
    """What is left out between the head and the tail."""

    start: int = 0
    size: int = 0
    lines: int = 0

    @property
    def text(self) -> str:
        return f"({counted(self.lines, 'line')}, {counted(self.size, 'byte')} are left out here)"


class CapturedBytes:
    """Bytes by their position in the stream.

    Attributes:
        end: position after the last byte.
    """

    def __init__(self, start: int = 0) -> None:
        self._start = self.end = start
        self._head: list[_Chunk] = []
        self._tail: deque[_Chunk] = deque()
        self._head_room, self._tail_bytes, self._gap = HEAD_BYTES, 0, _Gap()

    def append(self, data: bytes, at_ms: int) -> None:
        """Add what has just been read. Call `cut` when it is known to be of one job alone."""
        head, tail = data[: self._head_room], data[self._head_room :]
        if head:
            self._head.append((self.end, at_ms, head))
            self._head_room -= len(head)
            self.end += len(head)
        if tail:
            self._tail.append((self.end, at_ms, tail))
            self._tail_bytes += len(tail)
            self.end += len(tail)

    @property
    def is_full(self) -> bool:
        """Whether there is more than is kept of one job."""
        return self._tail_bytes > TAIL_BYTES

    def cut(self) -> None:
        """Count what is neither head nor tail, and forget it."""
        while self.is_full:
            self._cut_oldest(self._tail_bytes - TAIL_BYTES)

    def split(self, start: int, end: int) -> tuple[list[Line], "CapturedBytes"]:
        """Return the lines between two positions, also the last one without its end, and what comes after them."""
        end = max(self._start, min(end, self.end))
        own = self._part(min(max(start, self._start), end), end)
        own.cut()
        return own._lines(), self._part(end, self.end)

    def last_line_end(self) -> int:
        """Return the position after the last line that has ended; the end, if the line after it is very long."""
        for offset, _, data in (*reversed(self._tail), *reversed(self._head)):
            newline = data.rfind(b"\n")
            if newline >= 0:
                position = offset + newline + 1
                break
        else:
            position = self._start
        return self.end if self.end - position > MAX_PARTIAL_BYTES else position

    def _part(self, start: int, end: int) -> "CapturedBytes":
        part = CapturedBytes(start)
        for _, at_ms, data in _clip(self._head, start, end):
            part.append(data, at_ms)
        gap = self._gap
        if gap.size and start < gap.start + gap.size and gap.start < end:
            part._gap, part._head_room, part.end = replace(gap), 0, min(gap.start + gap.size, end)
        for _, at_ms, data in _clip(self._tail, start, end):
            part.append(data, at_ms)
        return part

    def _lines(self) -> list[Line]:
        if not self._gap.size:
            return _lines([*self._head, *self._tail])
        head, tail = _lines(self._head), _lines(self._tail)
        at_ms = (tail or head or [(0, "")])[0][0]
        # The first line of the tail is most likely the rest of one.
        return [*head, (at_ms, self._gap.text), *(tail[1:] or tail)]

    def _cut_oldest(self, size: int) -> None:
        offset, at_ms, data = self._tail.popleft()
        if len(data) > size:
            self._tail.appendleft((offset + size, at_ms, data[size:]))
            data = data[:size]
        self._tail_bytes -= len(data)
        if not self._gap.size:
            self._gap.start = offset
        self._gap.size += len(data)
        self._gap.lines += data.count(b"\n")


def _clip(chunks: Iterable[_Chunk], start: int, end: int) -> list[_Chunk]:
    clipped = []
    for offset, at_ms, data in chunks:
        first, last = max(offset, start), min(offset + len(data), end)
        if first < last:
            clipped.append((first, at_ms, data[first - offset : last - offset]))
    return clipped


def _lines(chunks: Iterable[_Chunk]) -> list[Line]:
    lines, rest, at_ms = [], b"", 0
    for _, at_ms, data in chunks:
        *ended, rest = (rest + data).split(b"\n")
        lines += [(at_ms, _text(line)) for line in ended]
    return [*lines, (at_ms, _text(rest))] if rest else lines


def _text(line: bytes) -> str:
    """Return a line as a terminal shows it: what follows a carriage return overwrites what was there."""
    return line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
