"""Random ids that hash to the shard that is wanted."""

import os
from zlib import crc32

ID_BYTES = 16
_DRAWN_AT_ONCE = 256
_ENDINGS = tuple(f"{byte:02x}" for byte in range(256))


class JobIdGenerator:
    """Draws ids of 32 hexadecimal digits, of which one shard in `shard_count` gets as many as another.

    Random bytes are asked of the system for many ids at a time: a system call for each id took longer than all else.
    """

    def __init__(self, shard_count: int) -> None:
        self._shard_count = shard_count
        self._random = b""
        self._at = 0

    def generate(self, shard_index: int) -> str:
        """An id that hashes to that shard (see `Shards.of`)."""
        if self._shard_count == 1:
            return self._sixteen_bytes().hex()
        while True:
            drawn = self._sixteen_bytes()
            stem = drawn[:-1].hex()
            checksum = crc32(stem.encode())
            # Of the 256 ids that differ in their last byte, the first from a random one on that is the shard's.
            for step in range(256):
                ending = _ENDINGS[(drawn[-1] + step) & 255]
                if crc32(ending.encode(), checksum) % self._shard_count == shard_index:
                    return stem + ending

    def _sixteen_bytes(self) -> bytes:
        start = self._at
        if start == len(self._random):
            self._random, start = os.urandom(_DRAWN_AT_ONCE * ID_BYTES), 0
        self._at = start + ID_BYTES
        return self._random[start : start + ID_BYTES]
