"""Generator of random job ids that hash to a given shard.

Hot path: see `http_enqueue` in benchmarks/README.md#what-limits-each-figure.
"""

import os
from hashlib import blake2b
from zlib import crc32

ID_BYTES = 16
_IDS_PER_READ = 256
_ENDINGS = tuple(f"{byte:02x}" for byte in range(256))


class JobIdGenerator:
    """Generates ids of 32 hexadecimal digits.

    Random bytes are read from the system for many ids at a time: one system call for each id took longer than the rest.
    """

    def __init__(self, shard_count: int) -> None:
        self._shard_count = shard_count
        self._random = b""
        self._at = 0

    def generate(self, shard_index: int) -> str:
        """Return an id that hashes to the shard (see `Shards.of`)."""
        if self._shard_count == 1:
            return self._random_bytes().hex()
        while True:
            random = self._random_bytes()
            stem = random[:-1].hex()
            checksum = crc32(stem.encode())
            # Try the 256 values of the last byte, starting with a random one.
            for step in range(256):
                ending = _ENDINGS[(random[-1] + step) & 255]
                if crc32(ending.encode(), checksum) % self._shard_count == shard_index:
                    return stem + ending

    def derive(self, text: str, shard_index: int) -> str:
        """Return an id that hashes to the shard, always the same one for a text."""
        digest = blake2b(text.encode(), digest_size=ID_BYTES).hexdigest()
        endings = (digest[:-2] + ending for ending in _ENDINGS)
        return next(id_ for id_ in endings if crc32(id_.encode()) % self._shard_count == shard_index)

    def _random_bytes(self) -> bytes:
        start = self._at
        if start == len(self._random):
            self._random, start = os.urandom(_IDS_PER_READ * ID_BYTES), 0
        self._at = start + ID_BYTES
        return self._random[start : start + ID_BYTES]
