"""Ids of the jobs that schedules run. Pure.

The id of a run is made of the schedule's name and the instant, so that whoever runs an instant makes the same job.
"""

from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from zlib import crc32

NAME_PATTERN = "[A-Za-z0-9_-]{1,40}"
"""Of a schedule: with an instant and an ending it must make an id of at most 64 characters."""


def run_id(name: str, instant: float, shard_count: int) -> str:
    """Return the id of the run at an instant, such as `nightly-20261129T013000Z`.

    It belongs to the schedule's shard (see `Shards.of`), for which a short ending is added if need be.
    """
    return _on_shard_of(name, f"{name}-{_stamp(instant)}", shard_count)


def manual_run_id(name: str, token: str, shard_count: int) -> str:
    """Return the id of a run that somebody asked for; `token` tells it from others."""
    return _on_shard_of(name, f"{name}-manual-{token}", shard_count)


@lru_cache(maxsize=256)
def _stamp(instant: float) -> str:
    # Many schedules run at the same instants.
    return f"{datetime.fromtimestamp(instant, UTC):%Y%m%dT%H%M%SZ}"


def _on_shard_of(name: str, stem: str, shard_count: int) -> str:
    if _place(stem, shard_count) == _place(name, shard_count):
        return stem
    endings = (f"{stem}-{number:x}" for number in count(1))
    return next(job_id for job_id in endings if _place(job_id, shard_count) == _place(name, shard_count))


def _place(text: str, shard_count: int) -> int:
    return crc32(text.encode()) % shard_count
