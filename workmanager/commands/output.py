"""How commands print: JSON lines for programs, short tables for people."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from workmanager.commands.terminal import BOLD, STYLES, is_terminal, styled
from workmanager.errors import UsageError

MAX_CELL_CHARACTERS = 64
MAX_DECIMALS = 3


def print_rows(
    options: argparse.Namespace,
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    key: str = "id",
    shown: Callable[[str, Any], Any] | None = None,
    truncate: bool = True,
) -> None:
    """Print a list as its options say: `-q` the names alone, `--json` one object per line, otherwise a table.

    Args:
        columns: of the table, unless `--fields` names others.
        key: the field that names a row, for commands that have `-q`.
        shown: gives the text of a cell by its column and value.
        truncate: at most 64 characters a cell.

    Raises:
        UsageError: `--fields` names one that there is not.
    """
    if getattr(options, "quiet", False):
        for row in rows:
            print_line(str(row[key]))
    elif options.json:
        for row in rows:
            print_json(select_fields(row, options.fields))
    elif rows := list(rows):
        names = options.fields or columns
        selected = [select_fields(row, options.fields) for row in rows]
        cells = [[(shown or _as_it_is)(name, row.get(name)) for name in names] for row in selected]
        print_table([name.upper() for name in names], cells, truncate=truncate)
    elif is_terminal(sys.stderr):
        print_error("there is none")


def print_one(
    options: argparse.Namespace,
    value: Mapping[str, Any],
    show: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Print one object as its options say: `-q` its id, or its name if it has none, `--json` a line, otherwise by
    `show` or one field per line.

    Raises:
        UsageError: `--fields` names one that there is not.
    """
    if getattr(options, "quiet", False):
        print_line(str(value["id"] if "id" in value else value["name"]))
        return
    selected = select_fields(value, options.fields)
    if options.json:
        print_json(selected)
    elif options.fields or show is None:
        print_fields(selected)
    else:
        show(value)


def select_fields(value: Mapping[str, Any], fields: Sequence[str] | None) -> Mapping[str, Any]:
    """Return these fields of an object; `a.b` is the field `b` of the field `a`, null if `a` has none.

    Raises:
        UsageError: there is no such field.
    """
    if not fields:
        return value
    selected = {}
    for name in fields:
        first, *rest = name.split(".")
        if first not in value:
            raise UsageError(f"there is no field {first!r}; there are {', '.join(value)}")
        inner = value[first]
        for part in rest:
            inner = inner.get(part) if isinstance(inner, dict) else None
        selected[name] = inner
    return selected


def _as_it_is(name: str, value: Any) -> Any:
    return value


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


def counted(number: Any, noun: str) -> str:
    """Return a number and what it counts: "1 worker", "2 workers"."""
    return f"{number} {noun if number == 1 else f'{noun}s'}"


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, truncate: bool = True) -> None:
    """Print columns as wide as their content; with `truncate`, at most 64 characters a cell."""
    lines = _cells(rows, truncate=truncate)
    widths = _widths(headings, lines)
    print(styled("  ".join(map(str.ljust, headings, widths)).rstrip(), BOLD, sys.stdout))
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        last = max((index for index, cell in enumerate(line) if cell), default=0)
        padded[last:] = [line[last]]
        print("  ".join(styled(text, STYLES.get(cell), sys.stdout) for text, cell in zip(padded, line, strict=False)))


def table_lines(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return the lines of a table without colours; at most 64 characters a cell."""
    lines = _cells(rows, truncate=True)
    widths = _widths(headings, lines)
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in [list(headings), *lines]]


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


def _cells(rows: Iterable[Sequence[Any]], *, truncate: bool) -> list[list[str]]:
    return [[_cell(value, MAX_CELL_CHARACTERS if truncate else None) for value in row] for row in rows]


def _widths(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(headings, *lines, strict=True)]


def _json_escape(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]  # Of ASCII, JSON leaves this one alone.


def _cell(value: Any, max_characters: int | None) -> str:
    if isinstance(value, float):
        value = round(value, MAX_DECIMALS)
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    text = printable(" ".join(text.split()))
    return text if max_characters is None or len(text) <= max_characters else text[: max_characters - 1] + "…"
