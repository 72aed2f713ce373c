"""The call in an RQ job's `data` field: `[function path, instance, args, kwargs]`, zlib-compressed or not.

Clients serialise it as JSON or, RQ's default, as a pickle. Pickles are recognised here and never read.
"""

import json
import zlib
from typing import Any

from jobqueue.functions import FunctionRegistry

PICKLE_START = b"\x80"
"""The first byte of a pickle of protocol 2 or later."""


def decompress(data: bytes) -> bytes:
    """Return `data` as its serializer wrote it.

    Raises:
        ValueError: it is neither JSON nor a pickle, compressed or not.
    """
    if data[:1] in (b"[", PICKLE_START):
        return data
    try:
        return zlib.decompress(data)
    except zlib.error:
        raise ValueError("the data is neither JSON nor a pickle") from None


def is_pickled(data: bytes) -> bool:
    """Return whether decompressed `data` is a pickle."""
    return data[:1] == PICKLE_START


def parse_json_call(data: bytes) -> list[Any]:
    """Parse decompressed JSON `data`; the caller checks the shape.

    Raises:
        ValueError: it is not JSON.
    """
    # Given bytes, json.loads would guess the encoding first; RQ's serializer and ours always write UTF-8.
    call: list[Any] = json.loads(data.decode("utf-8", "surrogatepass"))
    return call


def decode_call(data: bytes) -> list[Any] | None:
    """Return the call in a record's `data`, or None if it is pickled or cannot be read."""
    try:
        plain = decompress(data)
        call = None if is_pickled(plain) else parse_json_call(plain)
    except ValueError:
        return None
    return call if isinstance(call, list) and len(call) == 4 else None


def requested_function(data: bytes, functions: FunctionRegistry) -> str:
    """Return the public name, or else the path, of the function that a record asks for; '' if it cannot be read."""
    call = decode_call(data)
    return "" if call is None else functions.name_of(str(call[0])) or str(call[0])
