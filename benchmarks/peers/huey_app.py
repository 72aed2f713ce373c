"""Huey app for the benchmarks. `huey_app.py fill URL N` queues N jobs; the worker is Huey's own program.

The worker gets the Redis URL from HUEY_APP_URL.
"""

import os
import sys

from huey import RedisHuey  # type: ignore[import-not-found]  # It is installed in another environment.

_URL = sys.argv[2] if sys.argv[1:2] == ["fill"] else os.environ.get("HUEY_APP_URL", "")

# Without store_none, Huey keeps no result of a task that returns None.
huey = RedisHuey("side", url=_URL, results=True, store_none=True)


@huey.task(name="noop")  # type: ignore[untyped-decorator]  # As above.
def noop() -> None:
    """Do nothing."""


def fill(jobs: int) -> None:
    """Enqueue N jobs one by one; Huey has no bulk verb."""
    for _ in range(jobs):
        huey.enqueue(noop.s())


if __name__ == "__main__":
    # Huey's task names include the module, which is not __main__ in the worker.
    from huey_app import fill as fill_for_worker  # type: ignore[import-not-found]  # A script's neighbour.

    fill_for_worker(int(sys.argv[3]))
