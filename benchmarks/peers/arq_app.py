"""arq app for the benchmarks. `arq_app.py latency URL N` times N jobs, one after the other; the worker is arq's own.

The worker gets the Redis URL from ARQ_APP_URL.
"""

import asyncio
import os
import sys

# These are installed in another environment.
from arq import create_pool  # type: ignore[import-not-found]
from arq.connections import RedisSettings  # type: ignore[import-not-found]
from latency import print_latencies  # type: ignore[import-not-found]  # A script's neighbour.

_URL = sys.argv[2] if sys.argv[1:2] == ["latency"] else os.environ.get("ARQ_APP_URL", "")
_POLL_SECONDS = 0.005


async def noop(_: object) -> None:
    """Do nothing."""


class WorkerSettings:
    """What arq's worker reads."""

    functions = (noop,)
    redis_settings = RedisSettings.from_dsn(_URL)
    poll_delay = _POLL_SECONDS


def latency(jobs: int) -> None:
    """Time jobs, each from its submission to its result."""
    with asyncio.Runner() as runner:
        pool = runner.run(create_pool(WorkerSettings.redis_settings))

        async def run_one_job() -> None:
            job = await pool.enqueue_job("noop")
            await job.result(timeout=10, poll_delay=_POLL_SECONDS)

        print_latencies(lambda: runner.run(run_one_job()), jobs)
        runner.run(pool.aclose())


if __name__ == "__main__":
    latency(int(sys.argv[3]))
