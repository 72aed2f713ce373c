"""Celery app for the benchmarks. `celery_app.py fill URL N` queues N jobs; the worker is Celery's own program.

The worker gets the Redis URL from CELERY_APP_URL.
"""

import os
import sys

from celery import Celery  # type: ignore[import-not-found]  # It is installed in another environment.

_URL = sys.argv[2] if sys.argv[1:2] == ["fill"] else os.environ.get("CELERY_APP_URL", "")

app = Celery("celery_app", broker=_URL, backend=_URL)
# From Celery's optimisation guide, for many short tasks; results stay on.
app.conf.update(worker_prefetch_multiplier=128, worker_disable_rate_limits=True, broker_pool_limit=1)


@app.task(name="noop")  # type: ignore[untyped-decorator]  # As above.
def noop() -> None:
    """Do nothing."""


def fill(jobs: int) -> None:
    """Enqueue N jobs over one connection; Celery has no bulk verb."""
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(jobs):
            noop.apply_async(producer=producer)


if __name__ == "__main__":
    fill(int(sys.argv[3]))
