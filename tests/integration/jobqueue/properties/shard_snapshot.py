"""Everything about the jobs that stands in a shard, in a form that compares with the model."""

from dataclasses import dataclass
from typing import Any

from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.properties.queue_model import QUEUES, QueueModel

REGISTRIES = {"scheduled": "scheduled", "finished": "finished", "canceled": "canceled"}


@dataclass(frozen=True, slots=True)
class ShardSnapshot:
    """Attributes:
    statuses: by id.
    queues: ids in their order, by queue.
    leases: id -> lease's token.
    started: RQ's registry of started jobs, as id -> token.
    registries: ids by RQ's registry; stopped jobs are among the failed.
    feed, leased: results that wait, oldest first; those out on a lease.
    recorded: successes counted.
    """

    statuses: dict[str, str]
    queues: dict[str, list[str]]
    leases: dict[str, str]
    started: dict[str, str]
    registries: dict[str, set[str]]
    feed: list[str]
    leased: set[str]
    success_count: int

    @classmethod
    def of_model(cls, model: QueueModel) -> "ShardSnapshot":
        """What should stand there."""
        leases = {id_: job.token for id_, job in model.jobs.items() if job.token}
        registries = {name: {id_ for id_, job in model.jobs.items() if job.status == name} for name in REGISTRIES}
        registries["failed"] = {id_ for id_, job in model.jobs.items() if job.status in ("failed", "stopped")}
        return cls(
            statuses={id_: job.status for id_, job in model.jobs.items()},
            queues=model.queues,
            leases=leases,
            started=leases,
            registries=registries,
            feed=sorted(model.feed, key=lambda job_id: model.feed[job_id]),
            leased=set(model.leased),
            recorded=model.success_count,
        )


async def read_snapshot(shard: Shard) -> ShardSnapshot:
    """What stands there."""
    prefix = shard.prefix
    names = [*REGISTRIES, "failed", "wip"]
    commands: list[tuple[Any, ...]] = [("LRANGE", f"{prefix}:queue:{queue}", 0, -1) for queue in QUEUES]
    commands += [("ZRANGE", f"{prefix}:{name}:{queue}", 0, -1) for name in names for queue in QUEUES]
    commands += [("ZRANGE", f"{prefix}:wm:{name}", 0, -1) for name in ("leases", "feed", "feed:leases")]
    commands += [("HGET", f"{prefix}:wm:finished", "noop"), ("KEYS", f"{prefix}:job:*")]
    *answers, finished, keys = await shard.execute(*commands)
    lists = [[entry.decode() for entry in answer] for answer in answers]
    queues, lists = lists[: len(QUEUES)], lists[len(QUEUES) :]
    found: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        found[name] = [entry for entries in lists[number * len(QUEUES) :][: len(QUEUES)] for entry in entries]
    leases, feed, leased = lists[-3:]
    ids = [key.decode().rpartition(":")[2] for key in keys]
    statuses = await shard.execute(*(("HGET", f"{prefix}:job:{id_}", "status") for id_ in ids)) if ids else []
    return ShardSnapshot(
        statuses={id_: status.decode() for id_, status in zip(ids, statuses, strict=True)},
        queues=dict(zip(QUEUES, queues, strict=True)),
        leases=_by_id(leases),
        started=_by_id(found.pop("wip")),
        registries={name: set(entries) for name, entries in found.items()},
        feed=feed,
        leased=set(leased),
        success_count=int(finished or 0),
    )


def _by_id(executions: list[str]) -> dict[str, str]:
    by_id = dict(entry.split(":", 1) for entry in executions)
    assert len(by_id) == len(executions), f"a job is held twice: {executions}"
    return by_id
