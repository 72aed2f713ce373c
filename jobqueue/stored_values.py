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


def name_of(raw: bytes) -> str:
    """Return an id or the name of a queue, all of it: connections send it to Redis as the same bytes.

    Each byte that is no UTF-8 becomes half of a character (PEP 383). Show it with `shown_name` only.
    """
    return raw.decode("utf-8", "surrogateescape")


def sent_name(name: str) -> bytes:
    """Return the bytes of which `name_of` has made a name.

    Raises:
        UnicodeEncodeError: it was made of something else.
    """
    return name.encode("utf-8", "surrogateescape")


def shown_name(name: str) -> str:
    """Return a name as text that can be shown, without what is no UTF-8."""
    return name if name.isascii() else sent_name(name).decode("utf-8", "replace")


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
