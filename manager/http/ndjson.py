"""Split a streamed NDJSON body into lines."""

import codecs
from collections.abc import Iterator


class LineSplitter:
    """Buffers pieces of a body and yields complete lines without line ends; skips blank lines.

    Args:
        max_line_bytes: a longer line is yielded as None and not kept in memory.

    A byte order mark at the beginning of a line is dropped.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """Yield the lines that end in this piece."""
        first, *others = piece.split(b"\n")
        self._keep(first)
        for part in others:
            yield from self.finish()
            self._keep(part)

    def finish(self) -> Iterator[bytes | None]:
        """Yield the unfinished line as if it ended here."""
        line = b"".join(self._rest) if self._rest_bytes <= self._max_line_bytes else None
        self._rest.clear()
        self._rest_bytes = 0
        if line is None:
            yield None
        elif line := line.removeprefix(codecs.BOM_UTF8).strip(b" \t\r"):
            yield line

    def _keep(self, part: bytes) -> None:
        self._rest_bytes += len(part)
        if self._rest_bytes <= self._max_line_bytes:
            self._rest.append(part)
        else:
            self._rest.clear()
