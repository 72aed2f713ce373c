"""Where the commands in an append-only file begin and end. Pure: works on the file's bytes.

Source of the format: the Redis serialization protocol; a line that begins with `#` is a remark (Redis 7).
"""

import mmap
import re

_NOT_NUL = re.compile(rb"[^\0]")
_NUMBER = re.compile(rb"[0-9]{1,19}")


class Damaged(ValueError):
    """The file is no sequence of commands.

    Attributes:
        offset: of the command or gap at which it goes wrong.
    """

    def __init__(self, offset: int) -> None:
        super().__init__(f"no command begins at byte {offset}")
        self.offset = offset


def may_have_gaps(data: bytes | mmap.mmap) -> bool:
    """Return whether a gap is possible, without reading the commands: a gap follows the end of one."""
    return data.find(b"\r\n\0") >= 0 or data[:1] == b"\0"


def find_gaps(data: bytes | mmap.mmap) -> list[tuple[int, int]]:
    """Return start and end of each run of NULs between two commands, or after the last one.

    A file that ends within a command is as a server takes it: without that command.

    Raises:
        Damaged: there is anything else between commands, or NULs took the place of a part of one.
    """
    gaps = []
    position = 0
    while position < len(data):
        if data[position] == 0:
            after = _NOT_NUL.search(data, position)
            end = after.start() if after else len(data)
            gaps.append((position, end))
            position = end
            continue
        following = end_of_command(data, position)
        if following is None:
            break
        position = following
    return gaps


def end_of_command(data: bytes | mmap.mmap, start: int) -> int | None:
    """Return where the command or remark that begins at `start` ends; None if the file ends within it.

    Raises:
        Damaged: none begins there.
    """
    if data[start : start + 1] == b"#":
        line_end = data.find(b"\n", start)
        return line_end + 1 if line_end >= 0 else None
    header = _read_number(data, start, start, b"*")
    if header is None:
        return None
    words, position = header
    for _ in range(words):
        word = _read_number(data, position, start, b"$")
        if word is None:
            return None
        length, position = word
        position += length + 2
        if position > len(data):
            return None
        if data[position - 2 : position] != b"\r\n":
            raise Damaged(start)
    return position


def _read_number(data: bytes | mmap.mmap, at: int, start: int, mark: bytes) -> tuple[int, int] | None:
    """Return the number in the line at `at`, and where the next line begins; None if the file ends before."""
    line_end = data.find(b"\r\n", at, at + 24)
    line = data[at : line_end if line_end >= 0 else at + 24]
    if line_end < 0 and len(data) - at < 24 and line[:1] in (b"", mark):
        return None
    if line_end < 0 or line[:1] != mark or not _NUMBER.fullmatch(line, 1):
        raise Damaged(start)
    return int(line[1:]), line_end + 2
