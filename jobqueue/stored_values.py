"""Values of fields that other programs may have written: each is read as what it should be, or as its default."""

import math
from collections.abc import Iterator, Mapping, Sequence

MAX_INTEGER = 2**53
"""Largest number that every JSON parser reads exactly."""
MAX_TEXT_BYTES = 64 * 1024
"""How much of a text is read."""


def text_of(raw: bytes) -> str:
    """Return a stored text, without what is no UTF-8."""
    return raw[:MAX_TEXT_BYTES].decode("utf-8", "replace")


def integer_of(raw: bytes | str | None, default: int = 0, *, lowest: int = 0, highest: int = MAX_INTEGER) -> int:
    """Return a stored integer, moved between `lowest` and `highest`; `default` if it is none."""
    try:
        return max(lowest, min(highest, int(raw or default)))
    except ValueError:
        return default


def number_of(raw: bytes | str | None) -> float | None:
    """Return a stored number; None if it is none, or not finite."""
    try:
        value = float(raw or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def pairs(flat: Sequence[bytes] | None) -> Iterator[tuple[str, bytes]]:
    """Yield names and values of a hash, as Redis lists them; nothing if it is None."""
    return zip(map(text_of, (flat or ())[::2]), (flat or ())[1::2], strict=True)


def record_of(flat: Sequence[bytes] | None) -> Mapping[str, bytes]:
    """Return a hash, as Redis lists it."""
    return dict(pairs(flat))
