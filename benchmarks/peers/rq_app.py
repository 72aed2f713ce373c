"""RQ app for the benchmarks. `rq_app.py fill URL N` queues N jobs, and `joins URL N` N jobs that wait for five each.

`latency URL N` times N jobs, one after the other. The worker is RQ's own program.
"""

import sys
import time

import redis
import rq
from latency import print_latencies  # type: ignore[import-not-found]  # A script's neighbour.

_BATCH = 1000


def noop() -> None:
    """Do nothing."""


def fill(url: str, jobs: int) -> None:
    """Enqueue N jobs with RQ's bulk verb."""
    queue = rq.Queue("default", connection=redis.Redis.from_url(url))
    for start in range(0, jobs, _BATCH):
        some = [rq.Queue.prepare_data("rq_app.noop") for _ in range(min(_BATCH, jobs - start))]
        queue.enqueue_many(some)


def joins(url: str, groups: int) -> None:
    """Enqueue five jobs and one that waits for them, N times, and print the seconds that it took."""
    queue = rq.Queue("default", connection=redis.Redis.from_url(url))
    started = time.perf_counter()
    for _ in range(groups):
        parents = queue.enqueue_many([rq.Queue.prepare_data("rq_app.noop") for _ in range(5)])
        queue.enqueue("rq_app.noop", depends_on=parents)
    sys.stdout.write(f"{time.perf_counter() - started}\n")


def latency(url: str, jobs: int) -> None:
    """Time jobs, each from its submission to its result."""
    queue = rq.Queue("default", connection=redis.Redis.from_url(url))
    print_latencies(lambda: queue.enqueue("rq_app.noop").latest_result(timeout=10), jobs)


if __name__ == "__main__":
    {"fill": fill, "joins": joins, "latency": latency}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
