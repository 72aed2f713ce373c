"""Celery app for the benchmarks. `celery_app.py fill URL N` queues N jobs, and `joins URL N` N chords of five tasks.

`latency URL N` times N jobs, one after the other. The worker is Celery's own program.
It gets the Redis URL from CELERY_APP_URL.
"""

import os
import sys
import time

from celery import Celery, chord  # type: ignore[import-not-found]  # It is installed in another environment.
from latency import print_latencies  # type: ignore[import-not-found]  # A script's neighbour.

_URL = sys.argv[2] if sys.argv[1:2] in (["fill"], ["joins"], ["latency"]) else os.environ.get("CELERY_APP_URL", "")

app = Celery("celery_app", broker=_URL, backend=_URL)
# From Celery's optimisation guide, for many short tasks; results stay on.
app.conf.update(worker_prefetch_multiplier=128, worker_disable_rate_limits=True, broker_pool_limit=1)


@app.task(name="noop")  # type: ignore[untyped-decorator]  # As above.
def noop(*_: object) -> None:
    """Do nothing, with the results of the tasks before."""


def fill(jobs: int) -> None:
    """Enqueue N jobs over one connection; Celery has no bulk verb."""
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(jobs):
            noop.apply_async(producer=producer)


def joins(groups: int) -> None:
    """Enqueue N chords over one connection, and print the seconds that it took."""
    started = time.perf_counter()
    for _ in range(groups):
        chord([noop.s() for _ in range(5)], noop.s()).apply_async()
    sys.stdout.write(f"{time.perf_counter() - started}\n")


def latency(jobs: int) -> None:
    """Time jobs, each from its submission to its result."""
    print_latencies(lambda: noop.delay().get(timeout=10), jobs)


if __name__ == "__main__":
    {"fill": fill, "joins": joins, "latency": latency}[sys.argv[1]](int(sys.argv[3]))
