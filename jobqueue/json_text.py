"""JSON text that other programs wrote, checked before it is shown or handed out: never trusted, never an error."""

import json
import math
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any

MAX_DEPTH = 400
"""How deep a value that is shown may be nested. Python's own parser gives up at about 1,000 levels, on the way to the
value included."""
MAX_OBJECT_DEPTH = 100
"""As `MAX_DEPTH`, of an object that is read and encoded again: encoders give up sooner."""
MAX_INTEGER_DIGITS = 18
"""Longer integers are read as floats: not every encoder writes more than 64 bits."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_STEPS = bytes(1 if byte in b"[{" else 2 if byte in b"]}" else 0 for byte in range(256))
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_CHANGES = (0, 1, -1)


def why_not_json(text: bytes) -> str:
    """Return why `text` is not JSON in UTF-8; '' if it is."""
    try:
        plain = text.decode()
        # The scanner alone takes a third of a microsecond for a small value.
        if _scan(plain, 0)[1] != len(plain):
            _STRICT.decode(plain)
    except (ValueError, StopIteration):
        return "it is not JSON"
    except RecursionError:
        return "" if _levels(text)[-1:] == [0] else "it is not JSON"
    return ""


def why_not_shown(text: bytes) -> str:
    """Return why `text` cannot be shown inside a larger JSON document; '' if it can."""
    if not is_shallow(text):
        return f"it is nested more than {MAX_DEPTH} levels deep"
    return why_not_json(text)


def json_object(text: bytes | str | None) -> dict[str, Any] | None:
    """Return a stored JSON object whose content every encoder can write; None if it is something else."""
    try:
        raw = text.encode() if isinstance(text, str) else text
        value = _EXACT.decode(raw.decode()) if raw and is_shallow(raw, MAX_OBJECT_DEPTH) else None
        if raw and b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # Raises an error for halves of characters.
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_shallow(text: bytes, max_depth: int = MAX_DEPTH) -> bool:
    """Return whether JSON is nested at most `max_depth` levels deep."""
    if text.count(b"[") + text.count(b"{") <= max_depth:
        return True
    return max(_levels(text), default=0) <= max_depth


def _levels(text: bytes) -> list[int]:
    """Return the depth after each bracket outside of strings."""
    return list(accumulate(_CHANGES[step] for step in _STRING.sub(b"", text).translate(_STEPS, _NO_BRACKETS)))


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= MAX_INTEGER_DIGITS else _finite(text)


_STRICT = json.JSONDecoder(parse_constant=_reject_constant)
_EXACT = json.JSONDecoder(parse_constant=_reject_constant, parse_float=_finite, parse_int=_integer)
_scan: Callable[[str, int], tuple[Any, int]] = _STRICT.scan_once  # type: ignore[attr-defined]  # json.scanner's
