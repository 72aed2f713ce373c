"""The expected result of a `sha512` job."""

import hashlib


def sha512(data: bytes, iterations: int) -> str:
    """Return SHA-512 of the data, then of each digest, `iterations` times in all, in hexadecimal digits."""
    for _ in range(iterations):
        data = hashlib.sha512(data).digest()
    return data.hex()
