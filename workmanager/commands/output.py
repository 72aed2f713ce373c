"""How commands print: JSON lines for programs, short tables for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_CELL_CHARACTERS = 64


def print_json(value: Any) -> None:
    """Print a value as one line of JSON. Like other characters that cannot be shown, control characters are escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if not text.isprintable():
        # Only strings have such characters, so that JSON's own escapes can replace them.
        text = "".join(each if each.isprintable() else _json_escape(each) for each in text)
    print(text, flush=True)


def print_line(text: str) -> None:
    """Print one line, whatever names stand in it."""
    print(one_line(text), flush=True)


def print_error(text: str) -> None:
    """Print one line to standard error."""
    print(one_line(text), file=sys.stderr, flush=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, truncate: bool = True) -> None:
    """Print columns as wide as their content; with `truncate`, at most 64 characters a cell."""
    lines = [[_cell(value, MAX_CELL_CHARACTERS if truncate else None) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    for line in [list(headings), *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one field per line, without the empty ones. Further lines of a text are indented: they are no fields."""
    shown = {name: value for name, value in fields.items() if value not in (None, {}, [])}
    width = max(map(len, shown), default=0) + 2
    for name, value in shown.items():
        text = value.replace("\n", "\n" + " " * width) if isinstance(value, str) else json.dumps(value)
        print(printable(f"{name + ':':<{width}}{text}"))


def printable(text: str) -> str:
    """Return text without control characters: what a job or a queue is called must not control the terminal."""
    return "".join(each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text)


def one_line(text: str) -> str:
    """Return text without control characters, line breaks and tabs included."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _json_escape(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]  # Of ASCII, JSON leaves this one alone.


def _cell(value: Any, max_characters: int | None) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    text = printable(" ".join(text.split()))
    return text if max_characters is None or len(text) <= max_characters else text[: max_characters - 1] + "…"
