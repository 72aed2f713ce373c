"""Schedules for tests: their definitions, two managers' firing on one queue, and what they have done."""

from typing import Any

from jobqueue import keys
from jobqueue.audit import Author
from jobqueue.model import NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schedules.record import CatchUp, Progress, Schedule
from manager.schedules.store import Change, read_history, read_schedule, save_schedule
from manager.schedules.timing import Timing

NOW = 1_900_000_020.0
"""The time that tests begin at: 17:47:00 UTC, a whole minute after the machine's time."""
CREATED = Change(Author("none", "127.0.0.1", "r"), "schedule_saved")


def a_schedule(name: str = "nightly", cron: str | None = "* * * * *", **fields: Any) -> Schedule:
    """Build a schedule that runs each minute, unless told otherwise."""
    bounds = {each: fields.pop(each) for each in ("start", "end", "timezone") if each in fields}
    defaults: dict[str, Any] = {
        "overlap": "skip",
        "catch_up": CatchUp(3600, "latest"),
        "jitter_seconds": 0,
        "max_runs": None,
        "job": {"function": "noop"},
        "template": NewJob(id="", function="noop", data=b'["worker_node.functions.noop",null,[],{}]'),
    }
    every = fields.pop("every", None)
    return Schedule(name, Timing(None if every else cron, every, **bounds), **(defaults | fields))


async def create(shards: Shards, schedule: Schedule, now: float = NOW) -> Shard:
    """Store a new schedule; return its shard."""
    shard = shards.of(schedule.name)
    new = Progress("", schedule.next_after(now, 0), created_at=now, changed_at=now)
    assert await save_schedule(shard, schedule, None, new, CREATED) == "saved"
    return shard


async def progress_of(shard: Shard, name: str = "nightly") -> Progress:
    """Read how far a schedule has come."""
    stored, progress, _ = await read_schedule(shard, name)
    assert stored is not None
    return progress


async def rows(shard: Shard, name: str = "nightly") -> list[tuple[str, float]]:
    """Return outcome and instant of what a schedule has done, the first first."""
    history, _ = await read_history(shard, name)
    return [(row["outcome"], row["instant"]) for row in reversed(history)]


async def end_job(shard: Shard, job_id: str, status: str = "finished") -> None:
    """Mark a job as ended."""
    await shard.execute(("HSET", keys.job(shard.prefix, job_id), "status", status))
