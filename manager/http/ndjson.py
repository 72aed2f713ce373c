"""Splits a body into lines as it comes in."""

from collections.abc import Iterator


class LineSplitter:
    """Gathers pieces and gives whole lines, without their ends; blank lines are passed over.

    Args:
        most_bytes: of a line; a longer one is given as None and not kept.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._most_bytes = max_line_bytes
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that end in the piece."""
        first, *others = piece.split(b"\n")
        self._keep(first)
        for part in others:
            yield from self.finish()
            self._keep(part)

    def finish(self) -> Iterator[bytes | None]:
        """The line that has begun, as if it ended here."""
        line = b"".join(self._rest) if self._rest_bytes <= self._most_bytes else None
        self._rest.clear()
        self._rest_bytes = 0
        if line is None:
            yield None
        elif line := line.strip(b" \t\r"):
            yield line

    def _keep(self, part: bytes) -> None:
        self._rest_bytes += len(part)
        if self._rest_bytes <= self._most_bytes:
            self._rest.append(part)
        else:
            self._rest.clear()
