"""Huey app for the benchmarks. `huey_app.py fill URL N` queues N jobs, and `latency URL N` times N jobs.

The worker is Huey's own program; it gets the Redis URL from HUEY_APP_URL.
"""

import os
import sys

from huey import RedisHuey  # type: ignore[import-not-found]  # It is installed in another environment.
from latency import print_latencies  # type: ignore[import-not-found]  # A script's neighbour.

_URL = sys.argv[2] if sys.argv[1:2] in (["fill"], ["latency"]) else os.environ.get("HUEY_APP_URL", "")

# Without store_none, Huey keeps no result of a task that returns None.
# With HUEY_APP_NOTIFY, its clients are woken by results instead of polling for them; workers then do more for each job.
_NOTIFY = "HUEY_APP_NOTIFY" in os.environ
huey = RedisHuey("side", url=_URL, results=True, store_none=True, notify_result=_NOTIFY)


@huey.task(name="noop")  # type: ignore[untyped-decorator]  # As above.
def noop() -> None:
    """Do nothing."""


def fill(jobs: int) -> None:
    """Enqueue N jobs one by one; Huey has no bulk verb."""
    for _ in range(jobs):
        huey.enqueue(noop.s())


def latency(jobs: int) -> None:
    """Time jobs, each from its submission to its result."""
    print_latencies(lambda: noop().get(blocking=True, timeout=10), jobs)


if __name__ == "__main__":
    # Huey's task names include the module, which is not __main__ in the worker.
    import huey_app  # type: ignore[import-not-found]  # A script's neighbour.

    {"fill": huey_app.fill, "latency": huey_app.latency}[sys.argv[1]](int(sys.argv[3]))
