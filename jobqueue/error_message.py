"""The message in a recorded traceback: type and first lines of the exception's text, of an exception group the leaves.

RQ records a failure as Python's own traceback text, so the message is parsed from that, whoever recorded it.
"""

import re
from collections.abc import Sequence

MAX_MESSAGE_LINES = 20
MAX_MESSAGE_CHARS = 2000
OMISSION = "... {} characters left out ..."
"""Line in place of the middle of a long traceback."""

_OMISSION = re.compile(re.escape(OMISSION).replace(r"\{\}", r"\d+"))
_HEADER = "Traceback (most recent call last):"
_CHAINED = frozenset(
    {
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    }
)
# An exception group as the module traceback draws it: a separator above each of its exceptions, which have a margin.
_GROUP_STARTS = ("  + Exception Group Traceback", "  | ")
_SEPARATOR = re.compile(r" *(?:\+-)?(?=\+-+ (?:\d+|\.\.\.) -+$)")
_END = re.compile(r" *\+-{20,}")
_MARGIN = re.compile(r" *\| ?|  \+ ")


def error_message(traceback: str) -> str:
    """Return the message in a traceback, at most `MAX_MESSAGE_LINES` lines; a text that is no traceback is returned."""
    return _bounded(_message(traceback.splitlines()))


def first_line(traceback: str) -> str:
    """Return the first line of the message in a traceback."""
    return error_message(traceback).partition("\n")[0]


def _message(lines: Sequence[str]) -> list[str]:
    last = _last_of_chain(lines)
    return _group_message(last) if last and last[0].startswith(_GROUP_STARTS) else _plain_message(last)


def _last_of_chain(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines of the last exception of a chain: the one that ended the job."""
    start = next((n + 1 for n in range(len(lines) - 1, -1, -1) if lines[n] in _CHAINED), 0)
    while start < len(lines) and not lines[start].strip():
        start += 1
    return lines[start:]


def _plain_message(lines: Sequence[str]) -> list[str]:
    """Return the lines behind the stack, whose lines are indented."""
    start = 0
    if lines and (lines[0] == _HEADER or lines[0].startswith('  File "')):
        start = 1
        while start < len(lines) and _is_of_the_stack(lines, start):
            start += 1
    # A damaged traceback may hold nothing but a stack.
    return list(lines[start:]) or [line.strip() for line in lines[-1:]]


def _is_of_the_stack(lines: Sequence[str], place: int) -> bool:
    if lines[place].startswith("  ") or _OMISSION.fullmatch(lines[place]):
        return True
    # Earlier versions cut within a line: the rest of that line belongs to the stack, too.
    return (
        bool(_OMISSION.fullmatch(lines[place - 1]))
        and lines[place + 1 : place + 2] != []
        and (lines[place + 1].startswith("  "))
    )


def _group_message(lines: Sequence[str]) -> list[str]:
    """Return the message of each leaf, and the title of the group."""
    blocks: list[tuple[int, list[str]]] = [(0, [])]
    for line in lines:
        separator = _SEPARATOR.match(line)
        if separator:
            blocks.append((separator.end(), []))
        elif not _END.fullmatch(line):
            blocks[-1][1].append(_MARGIN.sub("", line, count=1))
    message = []
    for (column, block), following in zip(blocks, [*blocks[1:], blocks[0]], strict=True):
        if following[0] <= column:  # No deeper block follows, so this is a leaf.
            message += _plain_message(_last_of_chain(block))
    title = next((line for line in blocks[0][1] if not line.startswith((" ", "Exception Group Traceback"))), "")
    return [*_bounded(message, lines=MAX_MESSAGE_LINES - 1).splitlines(), f"(in {title})"] if title else message


def _bounded(message: Sequence[str], lines: int = MAX_MESSAGE_LINES) -> str:
    text = "\n".join(message[:lines]).strip()
    if len(text) > MAX_MESSAGE_CHARS:
        return text[: MAX_MESSAGE_CHARS - 1] + "…"
    return text + "\n…" if len(message) > lines else text
