"""Our worker (`python -m worker_node`) that takes at most MAX_JOBS jobs, an environment variable, as RQ's can."""

import os
from typing import Any

import worker_node.shard_loops.claimer as claimer
from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.claim import claim
from worker_node.__main__ import main

_left = int(os.environ.get("MAX_JOBS") or 1_000_000)


async def _claim(shard: Any, worker: str, queues: Any, count: int, **options: Any) -> list[ClaimedJob]:
    global _left
    jobs = await claim(shard, worker, queues, min(count, _left), **options) if _left else []
    _left -= len(jobs)
    return jobs


if __name__ == "__main__":
    claimer.claim = _claim  # type: ignore[attr-defined]
    main()
