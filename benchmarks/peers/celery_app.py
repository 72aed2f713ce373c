"""Celery's side: `celery_app.py fill URL N`; its worker is Celery's own program, told the server by
CELERY_APP_URL.
"""

import os
import sys

from celery import Celery  # type: ignore[import-not-found]  # It stands in another environment.

_URL = sys.argv[2] if sys.argv[1:2] == ["fill"] else os.environ.get("CELERY_APP_URL", "")

app = Celery("celery_app", broker=_URL, backend=_URL)
# What Celery's guide to optimising says for many short tasks; results stay on.
app.conf.update(worker_prefetch_multiplier=128, worker_disable_rate_limits=True, broker_pool_limit=1)


@app.task(name="noop")  # type: ignore[untyped-decorator]  # As above.
def noop() -> None:
    """The job."""


def fill(jobs: int) -> None:
    """Queues them over one connection; Celery has no bulk verb."""
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(jobs):
            noop.apply_async(producer=producer)


if __name__ == "__main__":
    fill(int(sys.argv[3]))
