"""The call in an RQ job's `data` field: `[function path, instance, args, kwargs]`, zlib-compressed or not.

Clients serialise it as JSON or, RQ's default, as a pickle. Pickles are recognised here and never read. Whatever a
record holds, reading it takes a bounded amount of memory.
"""

import json
import re
import zlib
from typing import Any

from jobqueue.functions import FunctionRegistry

PICKLE_START = b"\x80"
"""The first byte of a pickle of protocol 2 or later."""
MAX_CALL_BYTES = 64 * 1024 * 1024
"""Maximum size of a call that is stored compressed: some kilobytes can hold gigabytes."""
MAX_NAME_BYTES = 4096
"""A function's path stands within the first bytes of a call."""

_DECODER = json.JSONDecoder()
_FIRST_STRING = re.compile(rb'\[\s*("(?:[^"\\]|\\.)*+")')


class CallTooLarge(ValueError):
    """A compressed call is larger than `MAX_CALL_BYTES`."""


def decompress(data: bytes) -> bytes:
    """Return `data` as its serializer wrote it.

    Raises:
        CallTooLarge: decompressed, it would be larger than `MAX_CALL_BYTES`.
        ValueError: it is neither JSON nor a pickle, compressed or not.
    """
    if data[:1] in (b"[", PICKLE_START):
        return data
    try:
        return bounded_decompress(data, MAX_CALL_BYTES)
    except zlib.error:
        raise ValueError("the data is neither JSON nor a pickle") from None


def bounded_decompress(data: bytes, max_bytes: int) -> bytes:
    """Return what zlib has compressed.

    Raises:
        CallTooLarge: it would be larger than `max_bytes`.
        zlib.error: zlib did not write it, or its end is missing.
    """
    stream = zlib.decompressobj()
    plain = stream.decompress(data, max_bytes + 1)
    if len(plain) > max_bytes:
        raise CallTooLarge(f"the job's data is larger than {max_bytes} bytes when decompressed")
    if not stream.eof:
        raise zlib.error("incomplete stream")
    return plain


def is_pickled(data: bytes) -> bool:
    """Return whether decompressed `data` is a pickle."""
    return data[:1] == PICKLE_START


def parse_json_call(data: bytes) -> list[Any]:
    """Parse decompressed JSON `data`; the caller checks the shape.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deep.
    """
    # Given bytes, json.loads would guess the encoding first; RQ's serializer and ours always write UTF-8.
    text = data.decode("utf-8", "surrogatepass")
    if text[:1] == "[":
        # A quarter of the time that json.loads takes for a short call, most of which goes to the spaces around it.
        call, end = _DECODER.raw_decode(text)
        if end == len(text):
            return call  # type: ignore[no-any-return]  # the caller checks it
    return json.loads(text)  # type: ignore[no-any-return]  # as above


def decode_call(data: bytes) -> list[Any] | None:
    """Return the call in a record's `data`, or None if it is pickled or cannot be read."""
    try:
        plain = decompress(data)
        call = None if is_pickled(plain) else parse_json_call(plain)
    except (ValueError, RecursionError):
        return None
    return call if isinstance(call, list) and len(call) == 4 else None


def requested_function(data: bytes, functions: FunctionRegistry) -> str:
    """Return the public name, or else the path, of the function that a record asks for; '' if it cannot be read.

    Only the first bytes are read, however large the call is.
    """
    path = called_path(data)
    return functions.name_of(path) or path


def called_path(data: bytes) -> str:
    """Return the path of the function that a record asks for; '' if it cannot be read."""
    head = data[:MAX_NAME_BYTES]
    if head[:1] != b"[":
        try:
            head = zlib.decompressobj().decompress(head, MAX_NAME_BYTES)
        except zlib.error:
            return ""
    found = _FIRST_STRING.match(head)
    if found is None:
        return ""
    try:
        path: str = json.loads(found[1].decode("utf-8", "surrogatepass"))
    except ValueError:
        return ""
    return path.encode("utf-8", "backslashreplace").decode()
