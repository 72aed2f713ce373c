"""How commands print: JSON lines for programs, short tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_WIDEST_CELL = 64


def print_json(value: Any) -> None:
    print(json.dumps(value, separators=(",", ":"), ensure_ascii=False), flush=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, truncate: bool = True) -> None:
    """Columns as wide as their content; with `cut`, at most 64 characters a cell."""
    lines = [[_cell(value, _WIDEST_CELL if truncate else None) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    for line in [list(headings), *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: Mapping[str, Any]) -> None:
    """One field a line, what is empty left out."""
    for name, value in fields.items():
        if value not in (None, {}, []):
            print(f"{name + ':':<13}{value if isinstance(value, str) else json.dumps(value)}")


def _cell(value: Any, widest: int | None) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    text = " ".join(text.split())
    return text if widest is None or len(text) <= widest else text[: widest - 1] + "…"
