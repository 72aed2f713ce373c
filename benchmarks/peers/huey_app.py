"""Huey's side: `huey_app.py fill URL N`; its worker is Huey's own program, told the server by HUEY_APP_URL."""

import os
import sys

from huey import RedisHuey  # type: ignore[import-not-found]  # It stands in another environment.

_URL = sys.argv[2] if sys.argv[1:2] == ["fill"] else os.environ.get("HUEY_APP_URL", "")

# Huey keeps no result of a task that returns None unless it is told to.
huey = RedisHuey("side", url=_URL, results=True, store_none=True)


@huey.task(name="noop")  # type: ignore[untyped-decorator]  # As above.
def noop() -> None:
    """The job."""


def fill(jobs: int) -> None:
    """Queues them one by one; Huey has no bulk verb."""
    for _ in range(jobs):
        huey.enqueue(noop.s())


if __name__ == "__main__":
    # Huey calls a task by its module too, which for the worker is not __main__.
    from huey_app import fill as fill_for_worker  # type: ignore[import-not-found]  # A script's neighbour.

    fill_for_worker(int(sys.argv[3]))
