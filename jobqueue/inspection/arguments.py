"""A job's arguments as people see them: long and deep values shortened, those of named functions hidden."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from jobqueue.rq_call import CallTooLarge, bounded_decompress, is_pickled, parse_json_call

MAX_SHOWN_CALL_BYTES = 2 * 1024 * 1024
"""Arguments that are longer, as stored or decompressed, are not shown at all."""
MAX_TEXT_CHARACTERS = 256
MAX_ENTRIES = 50
MAX_DEPTH = 8
MAX_VALUES = 500
"""Of all arguments together: how many values are shown."""

HIDDEN = "hidden by the setting WORKMANAGER_HIDE_ARGUMENTS"
PICKLED = "the call is a pickle, which managers do not read: use an RQ client, rq.job.Job.fetch(ID, connection=…).args"
UNREADABLE = "the call cannot be read as JSON"
LISTED = "left out of listings: GET /jobs/ID shows them"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What is shown of a call.

    Attributes:
        args, kwargs: None if they are not shown.
        note: why they are not shown; None if they are.
    """

    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    note: str | None = None


def is_hidden(names: Sequence[str], hidden: Sequence[str]) -> bool:
    """Return whether a function with these names matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for name in names for pattern in hidden)


def show_arguments(data: bytes, call_bytes: int, names: Sequence[str], hidden: Sequence[str]) -> Arguments:
    """Return what is shown of the call in a record.

    Args:
        data: the record's field of that name; b"" if it was not read.
        call_bytes: its length.
        names: of the function: its public name and its import path.
        hidden: patterns (`billing.*`) of functions whose arguments are not shown.
    """
    if is_hidden(names, hidden):
        return Arguments(note=HIDDEN)
    if not data:
        return Arguments(note=f"not shown: the call has {call_bytes} bytes") if call_bytes else Arguments()
    try:
        plain = data if data[:1] in (b"[", b"\x80") else bounded_decompress(data, MAX_SHOWN_CALL_BYTES)
        if is_pickled(plain):
            return Arguments(note=PICKLED)
        _, _, args, kwargs = parse_json_call(plain)
    except CallTooLarge:
        return Arguments(note=f"not shown: the call has more than {MAX_SHOWN_CALL_BYTES} bytes")
    except Exception:  # noqa: BLE001 - whatever a client has written: zlib, JSON, depth, shape
        return Arguments(note=UNREADABLE)
    if not (isinstance(args, list) and isinstance(kwargs, dict)):
        return Arguments(note=UNREADABLE)
    shortener = _Shortener()
    return Arguments(shortener.shorten(args, 0), shortener.shorten(kwargs, 0))


class _Shortener:
    """Copies values up to a number of values in all."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def shorten(self, value: Any, depth: int) -> Any:
        self._left -= 1
        match value:
            case str():
                return _shorten_text(value)
            case int() if abs(value) >= 1 << 63:  # JSON writers of 64 bits refuse it.
                return _shorten_text(str(value))
            case float() if not math.isfinite(value):
                return str(value)
            case list():
                shown = [self.shorten(each, depth + 1) for each in value[: self._entries(depth)]]
                return shown if len(shown) == len(value) else [*shown, f"… ({len(value)} entries)"]
            case dict():
                items = list(value.items())[: self._entries(depth)]
                fields = {_shorten_text(name): self.shorten(each, depth + 1) for name, each in items}
                return fields if len(items) == len(value) else {**fields, "…": f"({len(value)} entries)"}
        return value

    def _entries(self, depth: int) -> int:
        return 0 if depth >= MAX_DEPTH else max(0, min(MAX_ENTRIES, self._left))


def _shorten_text(text: str) -> str:
    # Halves of surrogate pairs cannot be encoded.
    shown = text[:MAX_TEXT_CHARACTERS].encode("utf-8", "replace").decode()
    return shown if len(text) <= MAX_TEXT_CHARACTERS else f"{shown}… ({len(text)} characters)"
