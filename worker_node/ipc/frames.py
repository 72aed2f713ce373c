"""Frames of what an executor sends: a key, four bytes of length (big-endian), and a msgpack value.

The key is a random number that the executor chooses before its first job and sends as its first message. A job that
writes into a socket without knowing the key is found out: what it has written is no frame. What its executor sends
before and after that is still read.
"""

import os
import struct
from typing import Any

import msgpack  # type: ignore[import-untyped]  # It has no types.

KEY_BYTES = 8
FIRST_KEY = b"executor"
"""The key of the first frame."""
_HEADER = struct.Struct(f">{KEY_BYTES}sI")


class FrameWriter:
    """Encodes frames. It reuses a buffer: allocating one takes longer than encoding a frame. Not thread-safe."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._packer = msgpack.Packer()

    def use_key(self, key: bytes) -> None:
        """Write this key from now on."""
        self._key = key

    def pack(self, message: object) -> bytes:
        """Return one frame."""
        payload: bytes = self._packer.pack(message)
        return _HEADER.pack(self._key, len(payload)) + payload


class FrameReader:
    """Splits a stream into frames, and finds what is none.

    Args:
        max_bytes: the largest payload.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._key = FIRST_KEY
        self._rest = b""
        self._skipping = False

    def use_key(self, key: bytes) -> None:
        """Expect this key from now on."""
        self._key = key

    @property
    def pending_bytes(self) -> int:
        """How much is kept until more arrives."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes | None]:
        """Return the payloads of the frames that are complete now, in order; None where begins what is no frame."""
        if self._rest:
            data = self._rest + data
        payloads: list[bytes | None] = []
        start, total, key = 0, len(data), self._key
        while start < total:
            if total - start < _HEADER.size:
                if key.startswith(data[start : start + KEY_BYTES]):
                    break
                is_frame = False
            else:
                found, size = _HEADER.unpack_from(data, start)
                is_frame = found == key and size <= self._max_bytes
            if not is_frame:
                if not self._skipping:
                    payloads.append(None)
                self._skipping = True
                start = _find(data, key, start + 1)
                continue
            end = start + _HEADER.size + size
            if end > total:
                break
            self._skipping = False
            payloads.append(data[start + _HEADER.size : end])
            start = end
        self._rest = data[start:]
        return payloads


def unpack(payload: bytes | None) -> list[Any]:
    """Return the list in a frame's payload.

    Raises:
        ValueError: it holds something else.
    """
    fields = None if payload is None else msgpack.unpackb(payload)
    if not isinstance(fields, list):
        raise ValueError(f"no list, but {type(fields).__name__}")
    return fields


def new_key() -> bytes:
    """Return a key that no job can guess."""
    return os.urandom(KEY_BYTES)


def read_key(payload: bytes | None) -> bytes:
    """Return the key in an executor's first message; one that no frame has, if it is none."""
    key = None if payload is None else msgpack.unpackb(payload)
    return key if isinstance(key, bytes) and len(key) == KEY_BYTES else new_key()


def _find(data: bytes, key: bytes, start: int) -> int:
    """Return where the next frame may begin: at the key, or where its first bytes may stand at the end."""
    found = data.find(key, start)
    if found >= 0:
        return found
    start = max(start, len(data) - KEY_BYTES + 1)
    while not key.startswith(data[start:]):
        start += 1
    return start
