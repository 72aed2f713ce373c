"""RQ app for the benchmarks. `rq_app.py fill URL N` queues N jobs; the worker is RQ's own program."""

import sys

import redis
import rq

_BATCH = 1000


def noop() -> None:
    """Do nothing."""


def fill(url: str, jobs: int) -> None:
    """Enqueue N jobs with RQ's bulk verb."""
    queue = rq.Queue("default", connection=redis.Redis.from_url(url))
    for start in range(0, jobs, _BATCH):
        some = [rq.Queue.prepare_data("rq_app.noop") for _ in range(min(_BATCH, jobs - start))]
        queue.enqueue_many(some)


if __name__ == "__main__":
    fill(sys.argv[2], int(sys.argv[3]))
