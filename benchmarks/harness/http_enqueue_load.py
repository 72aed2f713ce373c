"""The load of `PUT /enqueue` that several benchmarks share."""

from __future__ import annotations

from itertools import islice
from secrets import token_bytes

from benchmarks.harness.http_load import WARM_UP_SECONDS, Generator, Load, endlessly, request

CONNECTIONS = 64


def submissions(count: int = 1000) -> list[bytes]:
    """Requests that submit 64 random bytes each."""
    return [request("PUT", "/enqueue?iterations=1", token_bytes(64)) for _ in range(count)]


def load_enqueues(port: int, seconds: float, *, most: int | None = None) -> Load:
    """As many submissions as the server takes, at most `most`."""
    generator = Generator(port, CONNECTIONS)
    try:
        return generator.closed_loop(
            islice(endlessly(submissions()), most), warm_up_seconds=WARM_UP_SECONDS, seconds=seconds
        )
    finally:
        generator.close()
