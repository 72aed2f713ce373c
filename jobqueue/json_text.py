"""JSON text that other programs wrote, checked before it is shown or handed out: never trusted, never an error."""

import json
import re
from itertools import accumulate
from typing import Any

import orjson

MAX_DEPTH = 400
"""How deep a value that is shown may be nested. Python's own parser gives up at about 1,000 levels, on the way to the
value included."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_STEPS = bytes(1 if byte in b"[{" else 2 if byte in b"]}" else 0 for byte in range(256))
_CHANGES = (0, 1, -1)


def why_not_json(text: bytes) -> str:
    """Return why `text` is not JSON in UTF-8; '' if it is."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        # orjson also refuses what JSON allows: numbers beyond a float's range, escaped halves of characters.
        return _why_not_json(text)
    return ""


def why_not_shown(text: bytes) -> str:
    """Return why `text` cannot be shown inside a larger JSON document; '' if it can."""
    return why_not_json(text) or ("" if is_shallow(text) else f"it is nested more than {MAX_DEPTH} levels deep")


def json_object(text: bytes | str | None) -> dict[str, Any] | None:
    """Return a stored JSON object whose numbers are finite and of at most 64 bits; None if it is something else."""
    try:
        raw = (text or "").encode() if isinstance(text, str | None) else text
        value = orjson.loads(raw) if is_shallow(raw) else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def is_shallow(text: bytes) -> bool:
    """Return whether valid JSON is nested at most `MAX_DEPTH` levels deep."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return True
    steps = _STRING.sub(b"", text).translate(_STEPS, bytes(byte for byte in range(256) if byte not in b"[]{}"))
    return max(accumulate(_CHANGES[step] for step in steps), default=0) <= MAX_DEPTH


def _why_not_json(text: bytes) -> str:
    try:
        json.loads(text.decode(), parse_constant=_reject_constant)
    except RecursionError:
        return "it is nested too deep"
    except ValueError:
        return "it is not JSON"
    return ""


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
