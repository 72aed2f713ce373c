"""JSON as records carry it: keys sorted, no spaces, so that equal values are equal bytes."""

import json
from typing import Any

import orjson


def canonical_json(value: Any) -> bytes:
    """The value as JSON.

    Raises:
        ValueError: it holds NaN or an infinity (parsers take `NaN` and `1e999`), which JSON cannot express.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Integers of more than 64 bits.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if b"null" in text:
        # It may stand for a NaN: orjson does not say.
        json.dumps(value, allow_nan=False)
    return text


def json_fragment(value: Any) -> orjson.Fragment:
    """A value from a record, which others may have written, as a part of an answer; null where JSON has no text for it.

    orjson takes neither integers of more than 64 bits nor lone surrogates, and would write NaN as null in silence.
    """
    try:
        return orjson.Fragment(json.dumps(value, separators=(",", ":"), allow_nan=False))
    except ValueError:
        return orjson.Fragment(b"null")
