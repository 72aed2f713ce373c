"""The `PUT /enqueue` load that several benchmarks share."""

from itertools import islice
from secrets import token_bytes

from benchmarks.harness.http_load import WARM_UP_SECONDS, LoadGenerator, LoadResult, repeat_forever, request

CONNECTIONS = 64


def enqueue_requests(count: int = 1000) -> list[bytes]:
    """Return `count` requests that submit 64 random bytes each."""
    return [request("PUT", "/enqueue?iterations=1", token_bytes(64)) for _ in range(count)]


def run_enqueue_load(
    port: int, seconds: float, *, max_requests: int | None = None, connections: int = CONNECTIONS
) -> LoadResult:
    """Submit jobs as fast as the server accepts them, at most `max_requests`."""
    generator = LoadGenerator(port, connections)
    try:
        return generator.closed_loop(
            islice(repeat_forever(enqueue_requests()), max_requests), warm_up_seconds=WARM_UP_SECONDS, seconds=seconds
        )
    finally:
        generator.close()
