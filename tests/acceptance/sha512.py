"""What the main job's value has to be."""

from __future__ import annotations

import hashlib


def sha512(data: bytes, iterations: int) -> str:
    """SHA-512 of the data, then of each digest, `iterations` times in all; in hexadecimal digits."""
    for _ in range(iterations):
        data = hashlib.sha512(data).digest()
    return data.hex()
