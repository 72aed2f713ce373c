"""Dramatiq app for the benchmarks. `dramatiq_app.py fill URL N` queues N jobs, and `latency URL N` times N jobs.

The worker is Dramatiq's own program; it gets the Redis URL from DRAMATIQ_APP_URL.
"""

import os
import sys

# These are installed in another environment.
import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]
from dramatiq.results import Results  # type: ignore[import-not-found]
from dramatiq.results.backends import RedisBackend  # type: ignore[import-not-found]
from latency import print_latencies  # type: ignore[import-not-found]  # A script's neighbour.

_URL = sys.argv[2] if sys.argv[1:2] in (["fill"], ["latency"]) else os.environ.get("DRAMATIQ_APP_URL", "")

broker = RedisBroker(url=_URL)
broker.add_middleware(Results(backend=RedisBackend(url=_URL), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor  # type: ignore[untyped-decorator]  # As above.
def noop() -> None:
    """Do nothing."""


def fill(jobs: int) -> None:
    """Enqueue N jobs one by one; Dramatiq has no bulk verb."""
    for _ in range(jobs):
        noop.send()


def latency(jobs: int) -> None:
    """Time jobs, each from its submission to its result."""
    print_latencies(lambda: noop.send().get_result(block=True, timeout=10_000), jobs)


if __name__ == "__main__":
    {"fill": fill, "latency": latency}[sys.argv[1]](int(sys.argv[3]))
