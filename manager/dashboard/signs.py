"""Reads signs of trouble that no count has: servers without memory, and schedules that nobody runs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from jobqueue import keys
from jobqueue.errors import JobQueueError, QueueFull
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.stored_values import number_of, pairs

LATE_SECONDS = 60.0
"""Managers run schedules within a second."""
MAX_SILENT = 3
MAX_SCHEDULES = 5
"""So many late schedules are named of each shard."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What was found.

    Attributes:
        full_servers: why Redis takes no new jobs, for each server.
        silent_servers: which servers of shards do not answer, in sentences; not all of very many.
        late_schedules: how many seconds each is late, by name.
    """

    full_servers: Sequence[str] = ()
    silent_servers: Sequence[str] = ()
    late_schedules: Mapping[str, float] = field(default_factory=dict)


async def read_signs(shards: Shards) -> Signs:
    """Return what can be read."""
    found = await asyncio.gather(*map(_read, shards))
    # A server with several shards has used a little more when it is asked for the next one.
    full = {reason.partition(" has used ")[0]: reason for signs in found for reason in signs.full_servers}
    silent = sorted({reason for signs in found for reason in signs.silent_servers})[:MAX_SILENT]
    late = {name: late for signs in found for name, late in signs.late_schedules.items()}
    return Signs([full[server] for server in sorted(full)], silent, late)


async def _read(shard: Shard) -> Signs:
    full: list[str] = []
    try:
        try:
            await shard.ensure_memory()
        except QueueFull as error:
            full.append(str(error))
        ((seconds, _),) = await shard.execute(("TIME",))
        command = ("ZRANGE", keys.schedules(shard.prefix), "-inf", int(seconds) - LATE_SECONDS, "BYSCORE")
        (late,) = await shard.execute((*command, "LIMIT", 0, MAX_SCHEDULES, "WITHSCORES"), tolerate_wrong_types=True)
    except (JobQueueError, RedisError, OSError) as error:
        return Signs(full, [str(error)])
    return Signs(full, (), {name: int(seconds) - (number_of(due) or 0.0) for name, due in pairs(late or ())})
