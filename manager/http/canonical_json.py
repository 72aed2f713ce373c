"""Canonical JSON: sorted keys and no spaces, so that equal values in job records are equal bytes."""

import json
from typing import Any

import orjson


def canonical_json(value: Any) -> bytes:
    """Return the value as canonical JSON.

    Raises:
        ValueError: it contains NaN or an infinity, which JSON cannot express (but parsers accept `NaN` and `1e999`).
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # It contains an integer of more than 64 bits.
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if b"null" in text:
        # orjson writes NaN as null without an error.
        json.dumps(value, allow_nan=False)
    return text


def json_fragment(value: Any) -> orjson.Fragment:
    """Return a value from a job record as a part of a response; null if JSON cannot express it.

    Other programs may have written it. orjson rejects integers of more than 64 bits and lone surrogates, and silently
    writes NaN as null.
    """
    try:
        return orjson.Fragment(json.dumps(value, separators=(",", ":"), allow_nan=False))
    except (ValueError, RecursionError):
        return orjson.Fragment(b"null")
